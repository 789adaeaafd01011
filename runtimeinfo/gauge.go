// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
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
	for _, m := range r.metrics {
		if clash(m.Key(), name) || flat(m.Name) == flat(name) {
			return 0, fmt.Errorf("gauge %q: the name clashes with the metric %s", name, m.Key())
		}
	}
	m := &Metric{
		Name: name, Unit: unit, Kind: KindGauge, Help: help,
		Subsystem: SubsystemUser, key: name, source: &source{gauge: true},
	}
	r.add(m, nil)
	return int(r.rows[len(r.rows)-1].index), nil
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

// clash tells whether one key is the other or a dot-separated prefix of it.
func clash(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

// flat is the name as stores without dots have it.
func flat(name string) string { return strings.ReplaceAll(name, ".", "_") }
