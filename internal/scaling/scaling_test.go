// SPDX-License-Identifier: Apache-2.0

// Package scaling tests that the cost of a tick, of each exporter and of each answer is at most
// proportional to what the application has much of: gauges, names of root spans, events. Tests of
// the packages that own them do the same for groups of goroutines, viewers and nested spans.
package scaling

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/jsonl"
	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/internal/summary"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// few is the smaller size; testutil.Linear compares it with 16 times as much. An agent has at most
// 256 gauges and 100 names.
const few = 256

// services have much of one thing.
func services(t *testing.T) map[string]func(n int) *service {
	t.Helper()
	return map[string]func(n int) *service{
		"gauges": func(n int) *service { return newService(t, n, 1, 0) },
		"roots":  func(n int) *service { return newService(t, 1, n, 0) },
		"events": func(n int) *service { return newService(t, 1, 1, n) },
	}
}

func TestTickIsLinear(t *testing.T) {
	for name, service := range services(t) {
		t.Run(name, func(t *testing.T) {
			testutil.Linear(t, few, func(n int) func() {
				s := service(n)
				return func() { s.tick(t) }
			})
		})
	}
}

// part processes the snapshot of a tick.
type part func(t *testing.T, s *runtimeinfo.Snapshot)

func TestPartsAreLinear(t *testing.T) {
	for name, service := range services(t) {
		made := map[int][]*runtimeinfo.Snapshot{} // by size
		snapshots := func(n int) []*runtimeinfo.Snapshot {
			if made[n] == nil {
				s := service(n)
				for range 8 {
					made[n] = append(made[n], s.tick(t))
				}
			}
			return made[n]
		}
		for kind, newPart := range parts() {
			t.Run(name+"/"+kind, func(t *testing.T) {
				testutil.Linear(t, few, func(n int) func() {
					ticks, p := snapshots(n), newPart(t)
					p(t, ticks[0]) // learns the catalogue
					next := 1
					return func() {
						p(t, ticks[next])
						next++
					}
				})
			})
		}
	}
}

// parts are what an agent may do with a snapshot.
func parts() map[string]func(t *testing.T) part {
	return map[string]func(t *testing.T) part{
		"summary": func(*testing.T) part {
			var sum summary.Summary
			return func(_ *testing.T, s *runtimeinfo.Snapshot) {
				sum.Add(s)
				sum.Snapshot()
			}
		},
		"codec":       func(*testing.T) part { return encodeAndDecode },
		"record":      func(*testing.T) part { return encodeRecords },
		"prom":        newProm,
		"page export": func(t *testing.T) part { t.Helper(); return exportTo(newPage(t)) },
		"page moment": func(t *testing.T) part { t.Helper(); return requestFrom(newPage(t), "api/v1/moment") },
		"page events": func(t *testing.T) part { t.Helper(); return requestFrom(newPage(t), "api/v1/events") },
		"page history": func(t *testing.T) part {
			t.Helper()
			return requestFrom(newPage(t), "api/v1/history")
		},
		"jsonl": func(t *testing.T) part {
			t.Helper()
			e, err := jsonl.New(jsonl.Config{Path: filepath.Join(t.TempDir(), "records"), Full: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = e.Shutdown(context.Background()) })
			return exportTo(e)
		},
		"otlp": func(t *testing.T) part {
			t.Helper()
			e, err := otlp.New(otlp.Config{Metrics: discard{}})
			if err != nil {
				t.Fatal(err)
			}
			return exportTo(e)
		},
		"log": func(*testing.T) part {
			var b bytes.Buffer
			return exportTo(exporters.Log(slog.New(slog.NewJSONHandler(&b, nil))))
		},
	}
}

func encodeAndDecode(t *testing.T, s *runtimeinfo.Snapshot) {
	t.Helper()
	var enc codec.Encoder
	b, err := enc.Append(nil, s)
	if err != nil {
		t.Fatal(err)
	}
	_, schema := enc.Schema()
	var dec codec.Decoder
	if _, err := dec.Learn(schema); err != nil {
		t.Fatal(err)
	}
	if _, err := dec.Decode(b); err != nil {
		t.Fatal(err)
	}
}

func encodeRecords(t *testing.T, s *runtimeinfo.Snapshot) {
	t.Helper()
	fields := 0
	for range exporters.Record(s) {
		fields++
	}
	for range exporters.FullRecord(s) {
		fields++
	}
	for i := range s.Events {
		for range exporters.EventRecord(s, &s.Events[i]) {
			fields++
		}
	}
	if fields == 0 {
		t.Error("no field")
	}
}

func exportTo(e exporters.Exporter) part {
	return func(t *testing.T, s *runtimeinfo.Snapshot) {
		t.Helper()
		if err := e.Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// newProm exports and scrapes.
func newProm(t *testing.T) part {
	t.Helper()
	all, err := exporters.NewSelection("all")
	if err != nil {
		t.Fatal(err)
	}
	e, err := prom.New(prom.Config{Selection: all})
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, s *runtimeinfo.Snapshot) {
		t.Helper()
		exportTo(e)(t, s)
		get(t, e.Handler(), "/metrics")
	}
}

func newPage(t *testing.T) *page.Exporter {
	t.Helper()
	e, err := page.New(page.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// requestFrom exports once and requests at every tick.
func requestFrom(e *page.Exporter, path string) part {
	exported := false
	return func(t *testing.T, s *runtimeinfo.Snapshot) {
		t.Helper()
		if !exported {
			exported = true
			exportTo(e)(t, s)
		}
		get(t, e.Handler(), "/"+path)
	}
}

func get(t *testing.T, h http.Handler, path string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
}

// discard is a metric exporter of OpenTelemetry that discards what it receives.
type discard struct{}

func (discard) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality {
	return metricdata.CumulativeTemporality
}

func (discard) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}
func (discard) Export(context.Context, *metricdata.ResourceMetrics) error { return nil }
func (discard) ForceFlush(context.Context) error                          { return nil }
func (discard) Shutdown(context.Context) error                            { return nil }
