// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"encoding/json"
	"iter"
	"maps"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// recordsADay is the number of records at the default interval of the exporters to logs.
const recordsADay = 24 * 60 * 60 / 10

// podSummary returns a summary as of a service of the size of the quick start in a pod, with every metric and
// several endpoints, none of them unusual. It is the same in every run and on every machine: unlike a live
// agent of a test, it has the limits of a container, profiles and so on.
func podSummary() *runtimeinfo.Snapshot {
	var points []runtimeinfo.Point
	depth := &runtimeinfo.Metric{Name: "shop.queue.depth", Unit: "{order}", Kind: runtimeinfo.KindGauge, Headline: true, Ranged: true, Subsystem: runtimeinfo.SubsystemUser}
	for i, m := range append(catalogue.All(), depth) {
		p := runtimeinfo.Point{Metric: m, Number: float64(1+i) * 1234.56789}
		if m.Fault {
			p.Number = 0
		}
		if m.Ranged {
			p.Range = &runtimeinfo.Range{Min: p.Number / 3, Mean: p.Number / 1.5, Max: p.Number * 1.7}
		}
		if m.Kind == runtimeinfo.KindHistogram {
			p.Histogram = &runtimeinfo.Histogram{Bounds: []float64{1}, Counts: []uint64{1000, 2}, Sum: 3.4567}
		}
		if m.Keys == nil {
			points = append(points, p)
			continue
		}
		for _, name := range []string{"GET /orders/{id}", "POST /checkout", "fluentd"} {
			p.Labels = labelsOf(m, name)
			points = append(points, p)
		}
	}
	s := runtimeinfo.NewSnapshot(points...)
	x := exporttest.Summary()
	s.Time, s.Since, s.Ticks, s.Spans, s.Resource = x.Time, x.Since, x.Ticks, x.Spans, podResource()
	return s
}

// labelsOf returns labels as of an HTTP service.
func labelsOf(m *runtimeinfo.Metric, name string) (labels []string) {
	typical := map[string]string{
		"wait": "select", "site": "net/http.(*persistConn).Read (transport.go:2174)", "entry": "net/http.(*persistConn).readLoop",
		"verdict": "connections", "incident.site": "", "incident.root_span": "",
	}
	for _, key := range m.Keys {
		label, ok := typical[key]
		if !ok {
			label = name
		}
		labels = append(labels, label)
	}
	return labels
}

// podResource returns the resource of a pod, of which the agent finds all attributes.
func podResource() []runtimeinfo.Attr {
	return []runtimeinfo.Attr{
		{Key: "service.name", Value: "checkout"},
		{Key: "service.version", Value: "1.4.2"},
		{Key: "service.instance.id", Value: "shop-production.checkout-7d9f8b6c5-x2x9k.checkout"},
		{Key: "host.name", Value: "checkout-7d9f8b6c5-x2x9k"},
		{Key: "process.pid", Value: "1"},
		{Key: "process.runtime.version", Value: "go1.26.8"},
		{Key: "k8s.namespace.name", Value: "shop-production"},
		{Key: "k8s.deployment.name", Value: "checkout"},
		{Key: "k8s.pod.name", Value: "checkout-7d9f8b6c5-x2x9k"},
		{Key: "k8s.pod.uid", Value: "8a7c3f64-9b1d-4e2a-b6c5-1f0e2d3c4b5a"},
		{Key: "k8s.container.name", Value: "checkout"},
		{Key: "k8s.node.name", Value: "ip-10-0-17-203.eu-central-1.compute.internal"},
		{Key: "container.id", Value: "4bf92f3577b34da6a3ce929d0e0e47364bf92f3577b34da6a3ce929d0e0e4736"},
	}
}

// busySummary is podSummary with many unusual signals and two incidents.
func busySummary() *runtimeinfo.Snapshot {
	s := podSummary()
	for range 26 {
		s.Bands = append(s.Bands, runtimeinfo.Band{Signal: "root_span.p99 GET /orders/{id}", Unit: "s", Value: 0.4567, Upper: 0.1234, Since: s.Since})
	}
	s.Incidents = []*runtimeinfo.Incident{exporttest.Event().Incident, exporttest.Event().Incident}
	return s
}

// jsonBytes returns the size of a line of jsonl, which has the time and the kind of the record too.
func jsonBytes(tb testing.TB, record iter.Seq2[string, any]) float64 {
	tb.Helper()
	fields := maps.Collect(record)
	fields["record"], fields["@timestamp"] = "runtime", time.Unix(0, 1).UTC().Format(time.RFC3339Nano)
	b, err := json.Marshal(fields)
	if err != nil {
		tb.Fatal(err)
	}
	return float64(len(b) + len("\n"))
}

func keysOf(record iter.Seq2[string, any]) float64 {
	return float64(len(maps.Collect(record)) + len([]string{"record", "@timestamp"}))
}

// compact returns a measurement of the compact record of a summary in JSON, in KB.
func compact(summary func(testing.TB) *runtimeinfo.Snapshot) func(testing.TB) float64 {
	return func(tb testing.TB) float64 {
		tb.Helper()
		return jsonBytes(tb, exporters.Record(summary(tb))) / 1e3
	}
}

// compactOnWire is compact for Fluentd.
func compactOnWire(summary func(testing.TB) *runtimeinfo.Snapshot) func(testing.TB) float64 {
	return func(tb testing.TB) float64 {
		tb.Helper()
		return wireBytes(tb, summary(tb)) / 1e3
	}
}

func compactKeys(summary func(testing.TB) *runtimeinfo.Snapshot) func(testing.TB) float64 {
	return func(tb testing.TB) float64 {
		tb.Helper()
		return keysOf(exporters.Record(summary(tb)))
	}
}

func busy(testing.TB) *runtimeinfo.Snapshot { return busySummary() }
func pod(testing.TB) *runtimeinfo.Snapshot  { return podSummary() }

func busyFullRecord(tb testing.TB) float64 {
	tb.Helper()
	return jsonBytes(tb, exporters.FullRecord(busySummary())) / 1e3
}

// podDay has the records of a day to Fluentd, and an event every quarter of an hour.
func podDay(tb testing.TB) float64 {
	tb.Helper()
	quiet := wireBytes(tb, podSummary())
	withEvent := podSummary()
	withEvent.Events = []runtimeinfo.Event{exporttest.Event()}
	return (quiet*recordsADay + (wireBytes(tb, withEvent)-quiet)*24*4) / 1e6
}
