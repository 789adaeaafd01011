// SPDX-License-Identifier: Apache-2.0

package otlphttp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/otlp/otlphttp"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// exportsADay is the number of exports at the default of OTEL_METRIC_EXPORT_INTERVAL, 60 s.
const exportsADay = 24 * 60

// everyMetric is a summary of a minute with every metric of the catalogue, the ranges of gauges, four series of
// the metrics with labels, and 12 buckets of each histogram.
func everyMetric() *runtimeinfo.Snapshot {
	var points []runtimeinfo.Point
	for i, m := range catalogue.All() {
		p := runtimeinfo.Point{Metric: m, Number: float64(1+i) * 1234.56789}
		if m.Ranged {
			p.Range = &runtimeinfo.Range{Min: p.Number / 3, Mean: p.Number / 1.5, Max: p.Number * 1.7}
		}
		if m.Kind == runtimeinfo.KindHistogram {
			p.Histogram = &runtimeinfo.Histogram{Bounds: slices.Repeat([]float64{1}, 12), Counts: slices.Repeat([]uint64{1000}, 13), Sum: 3.4567}
			for b := range p.Histogram.Bounds {
				p.Histogram.Bounds[b] = float64(b)
			}
		}
		if m.Keys == nil {
			points = append(points, p)
			continue
		}
		for _, label := range []string{"net/http.(*persistConn).Read (transport.go:2174)", "GET /orders/{id}", "POST /checkout", "fluentd"} {
			p.Labels = slices.Repeat([]string{label}, len(m.Keys))
			points = append(points, p)
		}
	}
	s := runtimeinfo.NewSnapshot(points...)
	x := exporttest.Snapshot()
	s.Time, s.Start, s.Resource = x.Time, x.Start, x.Resource
	s.Ticks, s.Since = 60, x.Time.Add(-time.Minute)
	return s
}

// The exports of a day at the default interval, of the default set and of every metric, both with ranges, keep to
// a number of bytes.
func TestBytesADay(t *testing.T) {
	var received atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		received.Add(n)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer server.Close()
	every, err := exporters.NewSelection("all")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		set, compression string
		config           otlphttp.Config
		limit            float64 // MB a day
	}{
		{"default", "none", otlphttp.Config{}, 42},
		{"default", "gzip", otlphttp.Config{}, 10.3},
		{"every metric", "none", otlphttp.Config{Selection: every, Process: true}, 75},
		{"every metric", "gzip", otlphttp.Config{Selection: every, Process: true}, 17.5},
	} {
		t.Run(tt.set+" "+tt.compression, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", tt.compression)
			received.Store(0)
			e := newExporter(t, server.URL, tt.config)
			if err := e.Export(t.Context(), everyMetric()); err != nil {
				t.Fatal(err)
			}
			if err := e.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			n := float64(received.Load())
			day := n * exportsADay / 1e6
			t.Logf("%.1f KB an export, %.1f MB a day", n/1e3, day)
			if n == 0 || day > tt.limit {
				t.Errorf("%.1f MB a day, the limit is %v", day, tt.limit)
			}
		})
	}
}
