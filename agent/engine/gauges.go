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

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// MaxGauges is how many gauges an application may add. Each is a series in
// every backend: for more than a few hundred a metrics library is the right tool.
const MaxGauges = 256

// gaugeTimeout is how long a tick waits for all gauges together.
const gaugeTimeout = 10 * time.Millisecond

// gauges are the application's own functions.
type gauges struct {
	failures atomic.Uint64

	mu    sync.Mutex // held while the catalogue changes
	all   []*gauge
	order []*task // of the calls in a tick; only the tick uses it
}

// gauge is one function of the application.
type gauge struct {
	task

	metric *runtimeinfo.Metric
}

// Gauge adds a number of the application to every snapshot from the next tick on.
// The unit is UCUM, as in [runtimeinfo.Metric]; "" for none. f is called once a tick on
// another goroutine and must not block: the tick waits 10 ms for all gauges together.
// A gauge that takes longer, panics or returns NaN or an infinite number is absent and
// counted in gmpulse.callbacks.failed.
//
// Gauge returns an error if f is nil, help is empty, the name is not lower-case words
// joined by dots or underscores, if it clashes with another metric or with a field of the
// records of exporters such as id, seq, spans and message, or if there are [MaxGauges]
// gauges. Gauge may be called at any time from any goroutine.
func (e *Engine) Gauge(name, unit, help string, f func() float64) error {
	e.gauges.mu.Lock()
	defer e.gauges.mu.Unlock()
	switch {
	case f == nil:
		return fmt.Errorf("engine: gauge %q: the function is nil", name)
	case len(e.gauges.all) >= MaxGauges:
		return fmt.Errorf("engine: gauge %q: there are %d gauges already, the most allowed", name, MaxGauges)
	case !regexp.MustCompile(gaugeName).MatchString(name):
		return fmt.Errorf("engine: gauge %q: a name is lower-case words joined by dots or underscores, like queue.depth", name)
	case help == "":
		return errors.New("engine: gauge " + name + ": help is empty; say in one sentence what it measures")
	}
	for _, field := range recordFields() {
		if name == field || strings.HasPrefix(name, field+".") {
			return fmt.Errorf("engine: gauge %q: the records of exporters have a field %s of their own; choose another name, like app.%s", name, field, name)
		}
	}
	m := runtimeinfo.NewMetric(runtimeinfo.Metric{Name: name, Unit: unit, Kind: runtimeinfo.KindGauge, Help: help, Subsystem: runtimeinfo.SubsystemUser})
	c, err := e.catalogue.Load().With(m)
	if err != nil {
		return fmt.Errorf("engine: gauge %q: %w", name, err)
	}
	e.catalogue.Store(c)
	g := &gauge{metric: m}
	g.name, g.call = name, func(d *runtimeinfo.Draft) { d.Add(m, f()) }
	e.gauges.all = append(e.gauges.all, g)
	return nil
}

// gaugeName is what a gauge may be called: lower-case words joined by dots and
// underscores. It is legal as an OpenTelemetry name and, by rule, as a Prometheus one.
const gaugeName = `^[a-z][a-z0-9]*([._][a-z0-9]+)*$`

// recordFields returns the fields, beside the metrics, that a record of a snapshot or an
// event has or gets on its way into a store. A gauge of that name would replace them, or
// be of another type than they are.
func recordFields() []string {
	return []string{
		"id", "seq", "resource", "spans", // exporters.Record
		"event", "severity", "message", "attributes", // exporters.EventRecord
		"record", "time", "timestamp", "tag", // jsonl, and what collectors of logs add
	}
}

// readGauges adds the values of those gauges that are in the catalogue of b. Gauges that
// were late at the last tick are called last.
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
		if _, ok := s.Value(g.metric); !ok {
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

// list returns the gauges and the catalogue that has them.
func (e *Engine) list() ([]*gauge, *runtimeinfo.Catalogue) {
	e.gauges.mu.Lock()
	defer e.gauges.mu.Unlock()
	return slices.Clip(e.gauges.all), e.catalogue.Load()
}
