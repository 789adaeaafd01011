// SPDX-License-Identifier: Apache-2.0

// Package sampler reads the Go runtime and the host into snapshots.
//
//	r := sampler.NewReader(sampler.Config{})
//	r.Read(sampler.Tick{Time: time.Now()})
//	n, _ := r.Snapshot().Number("go.goroutine.count")
//
// Most programs start package agent instead, which does this each second.
//
// Nothing here stops the world: the values of runtime.MemStats come from
// runtime/metrics. One Read costs a few microseconds whatever the number of
// goroutines and the size of the heap, and allocates nothing once warm; see
// BenchmarkRead.
package sampler

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Config configures a [Reader]. The zero value is ready to use.
type Config struct {
	// Resource describes the process in every snapshot: service.name and so on.
	// Default: none.
	Resource []runtimeinfo.Attr
}

// Reader samples the process. Make one with [NewReader].
//
// Read and Snapshot belong to one goroutine; Pulse and AddGauge may be called
// from any other at any time.
type Reader struct {
	resource []runtimeinfo.Attr
	start    time.Time
	pulse    *pulse
	seq      uint64

	mu        sync.Mutex // guards what follows against AddGauge
	catalogue *runtimeinfo.Catalogue
	values    []value    // of metrics without keys
	labelled  []labelled // metrics with keys
	windows   []*window
	cycles    int // index of the sample that counts collections
	reading   reading
	gauges    int
	builder   *runtimeinfo.Builder // of the last snapshot
}

// value is a metric without keys and its newest value.
type value struct {
	metric    *Metric
	compute   func(*reading) float64 // of number; nil for a histogram
	number    float64
	histogram *histogram // nil for a number

	before   float64 // number in the last snapshot
	exemplar *runtimeinfo.Exemplar
}

// histogram is the newest value of a histogram.
type histogram struct {
	runtimeinfo.Histogram
	window *window // of the runtime's histogram that it is made of; nil for the pulses
}

// labelled is a metric with keys.
type labelled struct {
	metric *Metric
	series func(*Tick, *emitter)
}

// NewReader returns a Reader for the metrics that this toolchain knows; those it
// does not are absent from every snapshot.
func NewReader(c Config) *Reader {
	r := &Reader{
		resource: slices.Clone(c.Resource),
		start:    time.Now(),
		pulse:    newPulse(),
		reading:  reading{cycles: math.NaN()},
	}
	r.cycles = r.sample("/gc/cycles/total:gc-cycles")
	var metrics []*Metric
	for _, row := range table() {
		m := runtimeinfo.NewMetric(row.Metric)
		metrics = append(metrics, m)
		r.add(m, row.source)
	}
	var err error
	if r.catalogue, err = runtimeinfo.NewCatalogue(metrics...); err != nil {
		panic(err) // the table is wrong; a test reads it
	}
	return r
}

// add makes the value of a metric.
func (r *Reader) add(m *Metric, src *source) {
	v := value{metric: m, number: math.NaN(), before: math.NaN()}
	switch {
	case src.series != nil:
		r.labelled = append(r.labelled, labelled{m, src.series})
		return
	case src.pulses:
		v.histogram = new(histogram)
	case src.bounds != nil:
		v.histogram = &histogram{runtimeinfo.Histogram{Bounds: src.bounds}, r.window(src.histogram)}
	default:
		v.compute = src.bind(r)
	}
	r.values = append(r.values, v)
}

// window returns the window of a runtime/metrics histogram.
func (r *Reader) window(key string) *window {
	i := r.sample(key)
	for _, w := range r.windows {
		if w.sample == i {
			return w
		}
	}
	w := &window{sample: i}
	r.windows = append(r.windows, w)
	return w
}

// samples returns the indexes of the samples with some keys.
func (r *Reader) samples(keys []string) []int {
	indexes := make([]int, len(keys))
	for i, k := range keys {
		indexes[i] = r.sample(k)
	}
	return indexes
}

// sample returns the index of the sample with a key.
func (r *Reader) sample(key string) int {
	all := &r.reading.samples
	i := slices.IndexFunc(*all, func(s metrics.Sample) bool { return s.Name == key })
	if i < 0 {
		i = len(*all)
		*all = append(*all, metrics.Sample{Name: key})
	}
	return i
}

// Pulse takes a look at the scheduler between two ticks, so that the next
// snapshot has its minimum, mean and maximum. Lateness is how late the caller's
// goroutine woke; negative if unknown. About 0.1 µs hot, no allocation.
func (r *Reader) Pulse(lateness time.Duration) { r.pulse.beat(lateness) }

// Read takes one sample. It allocates nothing once warm, does not stop the
// world, and does not depend on the number of goroutines.
func (r *Reader) Read(t Tick) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := &r.reading
	in.tick = t
	in.sched = r.pulse.beat(-1)
	r.pulse.take(&in.pulse)
	in.repairs += in.pulse.repairs
	metrics.Read(in.samples)
	r.readGC()
	for _, w := range r.windows {
		if v := in.samples[w.sample].Value; v.Kind() == metrics.KindFloat64Histogram {
			h := v.Float64Histogram()
			w.advance(h.Counts, h.Buckets)
		}
	}
	for i := range r.values {
		v := &r.values[i]
		switch {
		case v.compute != nil:
			v.number = v.compute(in)
		case v.histogram.window == nil:
			exemplars := v.histogram.Exemplars
			v.histogram.Histogram = in.pulse.distribution
			v.histogram.Exemplars = exemplars
		case v.histogram.Counts == nil || v.histogram.window.total > 0:
			rebucket(&v.histogram.Histogram, v.histogram.window.last, v.histogram.window.bounds)
		}
	}
}

// readGC asks when the last collection was, if there was one since it was asked.
func (r *Reader) readGC() {
	in := &r.reading
	if cycles := scalar(&in.samples[r.cycles]); cycles != in.cycles { // also where it is unknown
		debug.ReadGCStats(&in.gc)
		in.cycles = cycles
	}
}

// Snapshot returns the result of the last Read as an immutable copy: a few
// allocations of a few kilobytes in all.
func (r *Reader) Snapshot() *runtimeinfo.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.reading.tick
	r.seq++
	b := runtimeinfo.NewBuilder(r.catalogue, runtimeinfo.Snapshot{
		Seq: r.seq, Time: t.Time, Start: r.start, Resource: r.resource, Events: t.Events,
	}, r.builder)
	r.builder = b
	d := b.Draft()
	if s := exemplarSpan(t.Spans); s != nil {
		r.takeExemplars(runtimeinfo.Exemplar{TraceID: s.TraceID, SpanID: s.SpanID, Time: t.Time})
	}
	r.addValues(d)
	if t.Spans != nil {
		d.SetSpans(t.Spans.Active, t.Spans.Groups)
		d.AddEvents(t.Spans.Events...)
	}
	if t.Findings != nil {
		d.AddEvents(t.Findings.Events...)
	}
	b.Merge(d)
	d = b.Draft()
	if t.Baselines != nil {
		var events []runtimeinfo.Event
		t.bands, events = t.Baselines(d.Snapshot())
		d.AddBands(t.bands...)
		d.AddEvents(events...)
	}
	to := &emitter{draft: d}
	for _, l := range r.labelled {
		to.metric = l.metric
		l.series(t, to)
	}
	b.Merge(d)
	return b.Snapshot()
}

// addValues adds the values of the last Read. Histograms are copied into one block.
func (r *Reader) addValues(d *runtimeinfo.Draft) {
	histograms, counts := 0, 0
	for i := range r.values {
		if h := r.values[i].histogram; h != nil {
			histograms, counts = histograms+1, counts+len(h.Counts)
		}
	}
	hs, block := make([]runtimeinfo.Histogram, 0, histograms), make([]uint64, 0, counts)
	for i := range r.values {
		v := &r.values[i]
		v.before = v.number
		if v.compute != nil {
			if !math.IsNaN(v.number) && !math.IsInf(v.number, 0) {
				d.AddPoint(runtimeinfo.Point{Metric: v.metric, Number: v.number, Exemplar: v.exemplar})
			}
			continue
		}
		if v.histogram.Counts == nil {
			continue
		}
		h, at := v.histogram.Histogram, len(block)
		block = append(block, h.Counts...)
		h.Counts = block[at:len(block):len(block)]
		hs = append(hs, h)
		d.AddPoint(runtimeinfo.Point{Metric: v.metric, Histogram: &hs[len(hs)-1]})
	}
}
