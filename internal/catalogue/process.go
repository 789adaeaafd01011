// SPDX-License-Identifier: Apache-2.0

package catalogue

import (
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Process makes snapshots like an agent. The sampler reads this process; a test sets all other values.
type Process struct {
	*sampler.Reader

	resource  []runtimeinfo.Attr
	catalogue *runtimeinfo.Catalogue
	seq       uint64
	start     time.Time
}

// NewProcess returns a Process with the metrics of [All].
func NewProcess(resource ...runtimeinfo.Attr) *Process {
	r := sampler.NewReader(sampler.Config{})
	c, err := runtimeinfo.NewCatalogue(slices.Concat(r.Metrics(), All()[len(r.Metrics()):])...)
	if err != nil {
		panic(err)
	}
	return &Process{Reader: r, resource: resource, catalogue: c, start: time.Now()}
}

// Gauge adds a gauge of the application.
func (p *Process) Gauge(name, unit string) error {
	m := &runtimeinfo.Metric{
		Name: name, Unit: unit, Kind: runtimeinfo.KindGauge, Help: "A gauge of the application.", Subsystem: runtimeinfo.SubsystemUser,
	}
	c, err := runtimeinfo.NewCatalogue(append(slices.Clip(p.catalogue.Metrics()), m)...)
	if err == nil {
		p.catalogue = c
	}
	return err
}

// Sample reads the process and returns a snapshot. The functions add more values, in order.
func (p *Process) Sample(t sampler.Tick, add ...func(*Draft)) *runtimeinfo.Snapshot {
	p.Read(t)
	p.seq++
	b := runtimeinfo.NewBuilder(p.catalogue, runtimeinfo.Snapshot{Seq: p.seq, Time: t.Time, Start: p.start, Resource: p.resource})
	d := b.Draft()
	p.AddTo(d)
	b.Merge(d)
	for _, f := range add {
		d = b.Draft()
		f(&Draft{d, p.catalogue.Metrics()})
		b.Merge(d)
	}
	return b.Snapshot()
}

// Draft is a draft to which values are added by key.
type Draft struct {
	*runtimeinfo.Draft

	metrics []*runtimeinfo.Metric
}

// Set adds a value of the metric with the given key.
func (d *Draft) Set(key string, v float64, labels ...string) {
	i := slices.IndexFunc(d.metrics, func(m *runtimeinfo.Metric) bool { return m.Key() == key })
	if i < 0 {
		panic("no metric has the key " + key)
	}
	d.Add(d.metrics[i], v, labels...)
}

// Exporter adds some of the values of an exporter.
func (d *Draft) Exporter(name string, up, delivered, errors uint64) {
	d.Set("gmpulse.exporter.up", float64(up), name)
	for _, record := range []string{"snapshot", "event"} {
		d.Set("gmpulse.exporter.accepted", float64(delivered), name, record)
		d.Set("gmpulse.exporter.delivered", float64(delivered), name, record)
		d.Set("gmpulse.exporter.pending", 0, name, record)
		d.Set("gmpulse.exporter.dropped", 0, name, record, "rejected")
	}
	d.Set("gmpulse.exporter.failures", float64(errors), name, "error")
	d.Set("gmpulse.exporter.failures", 0, name, "timeout")
	d.Set("gmpulse.exporter.failures", 0, name, "panic")
}

// Groups adds groups of spans with their metrics.
func (d *Draft) Groups(now time.Time, active []runtimeinfo.Span, groups ...runtimeinfo.SpanGroup) {
	d.Spans, d.SpanGroups = active, groups
	for _, g := range groups {
		d.Set("gmpulse.root_span.active", float64(g.Active), g.Name)
		if g.Active > 0 {
			d.Set("gmpulse.root_span.oldest_age", max(0, now.Sub(g.Oldest).Seconds()), g.Name)
		}
	}
}
