// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// maxGauges is the maximum number of gauges. A program with more metrics needs a metrics
// library.
const maxGauges = 256

// gaugeTimeout is how long a tick waits for all gauges together.
const gaugeTimeout = 10 * time.Millisecond

// gauges holds the gauges of the application.
type gauges struct {
	failures atomic.Uint64

	mu    sync.Mutex // held while the catalogue changes
	all   []*gauge
	order []*task // order of the calls in a tick; used only by tick
}

// gauge is one gauge of the application.
type gauge struct {
	task

	metric *runtimeinfo.Metric
}

// Gauge adds a gauge of the application to every snapshot, starting with the next tick. The name
// consists of lower-case words joined by dots or underscores. The unit is a UCUM unit, see
// [runtimeinfo.Metric], or "" for none. help says in one sentence what the gauge measures.
//
// The engine calls f once per tick on another goroutine. The tick waits 10 ms for all gauges
// together. If f takes longer, panics, or returns NaN or an infinite number, the snapshot lacks
// the gauge, and the metric gmpulse.callbacks.failed counts it.
//
// Gauge returns an error if f is nil, if help is empty, if a text is malformed or too long (255
// bytes for the name, 63 for the unit, 1024 for help), if another metric has the name or a field in the records of exporters (such as id, seq, spans and message), or if there are 256
// gauges already. Gauge may be called at any time.
func (e *Engine) Gauge(name, unit, help string, f func() float64) error {
	e.gauges.mu.Lock()
	defer e.gauges.mu.Unlock()
	switch {
	case f == nil:
		return fmt.Errorf("engine: gauge %q: the function is nil", name)
	case len(e.gauges.all) >= maxGauges:
		return fmt.Errorf("engine: gauge %q: there are %d gauges already, which is the maximum", name, maxGauges)
	case len(name) > maxGaugeName:
		return fmt.Errorf("engine: gauge %.40q…: the name has %d characters, the maximum is %d", name, len(name), maxGaugeName)
	case !regexp.MustCompile(gaugeName).MatchString(name):
		return fmt.Errorf("engine: gauge %q: a name consists of lower-case words joined by dots or underscores, like queue.depth", name)
	case help == "":
		return errors.New("engine: gauge " + name + ": help is empty; state in one sentence what the gauge measures")
	case !utf8.ValidString(help) || len(help) > maxGaugeHelp: // Prometheus would refuse the whole page
		return fmt.Errorf("engine: gauge %s: help is not valid UTF-8 or longer than %d bytes", name, maxGaugeHelp)
	case !utf8.ValidString(unit) || len(unit) > maxGaugeUnit || strings.ContainsFunc(unit, unicode.IsControl):
		return fmt.Errorf("engine: gauge %s: unit %.80q: a unit consists of at most %d printable characters, like By or {item}", name, unit, maxGaugeUnit)
	}
	for _, field := range recordFields() {
		if name == field || strings.HasPrefix(name, field+".") {
			return fmt.Errorf("engine: gauge %q: the records of exporters have a field %s; choose another name, like app.%s", name, field, name)
		}
	}
	m := &runtimeinfo.Metric{Name: name, Unit: unit, Kind: runtimeinfo.KindGauge, Ranged: true, Headline: true, Help: help, Subsystem: runtimeinfo.SubsystemUser}
	c, err := runtimeinfo.NewCatalogue(append(slices.Clip(e.Metrics()), m)...)
	if err != nil {
		return fmt.Errorf("engine: gauge %q: %w", name, err)
	}
	e.catalogue.Store(c)
	g := &gauge{metric: m}
	g.name, g.call = name, func(d *runtimeinfo.Draft) { d.Add(m, f()) }
	e.gauges.all = append(e.gauges.all, g)
	return nil
}

// The longest texts of a gauge in bytes. OpenTelemetry has the same limits for names and units.
const (
	maxGaugeName = 255
	maxGaugeUnit = 63
	maxGaugeHelp = 1024
)

// gaugeName matches names that are valid in OpenTelemetry and can be converted to Prometheus
// names.
const gaugeName = `^[a-z][a-z0-9]*([._][a-z0-9]+)*$`

// recordFields returns the names of fields, other than metrics, in the records of snapshots and
// events. A gauge with such a name would replace the field or have another type.
func recordFields() []string {
	return []string{
		"id", "seq", "ticks", "interval", "message", "resource", "span", "spans", "incidents", "unusual", // exporters.Record
		"event", "severity", "attributes", "incident", // exporters.EventRecord
		"record", "time", "timestamp", "tag", // jsonl and log collectors
	}
}

// readGauges adds the values of the gauges to b. It calls the gauges that were late at the last
// tick after the others.
func (e *Engine) readGauges(b *runtimeinfo.Builder, all []*gauge) *runtimeinfo.Builder {
	if len(all) == 0 {
		return b
	}
	order := e.gauges.order[:0]
	for _, late := range []bool{false, true} {
		for _, g := range all {
			if g.overdue == late {
				order = append(order, &g.task)
			}
		}
	}
	r := startRound(&e.calls, order, b, e.gaugePanicked)
	_, b, ok := r.wait(gaugeTimeout)
	if e.gauges.order = order; !ok {
		e.gauges.order = nil // the goroutine of the round still uses it
	}
	s := b.Draft().Snapshot()
	for _, g := range all {
		g.overdue = g.busy.Load()
		if _, ok := s.Number(g.metric.Key()); !ok {
			e.gauges.failures.Add(1)
		}
	}
	return b
}

func (e *Engine) gaugePanicked(t *task, err error) {
	if t.panicked.CompareAndSwap(false, true) {
		e.config.logger.Error("gmpulse: a gauge panicked", slog.String("gauge", t.name), slog.Any("error", err))
	}
}

// list returns the gauges and the catalogue that contains them.
func (e *Engine) list() ([]*gauge, *runtimeinfo.Catalogue) {
	e.gauges.mu.Lock()
	defer e.gauges.mu.Unlock()
	return slices.Clip(e.gauges.all), e.catalogue.Load()
}
