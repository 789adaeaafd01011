// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// MaxGauges is how many gauges an application may add. Each is a series in
// every backend: for more than a few hundred a metrics library is the right tool.
const MaxGauges = 256

// gaugeName is what a gauge may be called: lower-case words joined by dots and
// underscores, legal as an OpenTelemetry name and, by rule, as a Prometheus one.
const gaugeName = `^[a-z][a-z0-9]*([._][a-z0-9]+)*$`

// AddGauge adds a metric of the application's own to the catalogue of this
// Reader. Its values come with [Tick.Gauges], at the index that is returned. The
// unit is UCUM, as in [Metric]; "" for none. It may be called at any time.
//
// The error names what is wrong: a name that is not lower-case words joined by
// dots or underscores, one already taken, one below a name that is taken, one that
// records have a field of, such as id, seq, spans and message, or more than [MaxGauges].
func (r *Reader) AddGauge(name, unit, help string) (index int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gauges >= MaxGauges {
		return 0, fmt.Errorf("gauge %q: there are %d gauges already, the most allowed", name, MaxGauges)
	}
	if !regexp.MustCompile(gaugeName).MatchString(name) {
		return 0, fmt.Errorf("gauge %q: a name is lower-case words joined by dots or underscores, like queue.depth", name)
	}
	if help == "" {
		return 0, errors.New("gauge " + name + ": help is empty; say in one sentence what it measures")
	}
	for _, field := range recordFields() {
		if clash(field, name) {
			return 0, fmt.Errorf("gauge %q: the records of exporters have a field %s of their own; choose another name, like app.%s", name, field, name)
		}
	}
	m := runtimeinfo.NewMetric(Metric{
		Name: name, Unit: unit, Kind: runtimeinfo.KindGauge, Help: help, Subsystem: runtimeinfo.SubsystemUser,
	})
	if r.catalogue, err = with(r.catalogue, m); err != nil {
		return 0, fmt.Errorf("gauge %q: %w", name, err)
	}
	i := r.gauges
	r.add(m, computed(func(in *reading) float64 {
		if i < len(in.tick.Gauges) {
			return in.tick.Gauges[i]
		}
		return math.NaN()
	}))
	r.gauges++
	return i, nil
}

// with returns the catalogue with one more metric, or the same one and an error.
func with(c *runtimeinfo.Catalogue, m *Metric) (*runtimeinfo.Catalogue, error) {
	more, err := c.With(m)
	if err != nil {
		return c, err
	}
	return more, nil
}

// recordFields are the fields, beside the metrics, that a record of a snapshot or an
// event has or gets on its way into a store: a gauge of that name would take their
// place, or be of another type than they are.
func recordFields() []string {
	return []string{
		"id", "seq", "resource", "spans", // exporters.Record
		"event", "severity", "message", "attributes", // exporters.EventRecord
		"record", "time", "timestamp", "tag", // jsonl, and what collectors of logs add
	}
}

// clash reports whether a name is a field, or below one.
func clash(field, name string) bool { return field == name || strings.HasPrefix(name, field+".") }
