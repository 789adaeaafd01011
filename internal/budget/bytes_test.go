// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/summary"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// recordsADay is the number of records at the default interval of the exporters to logs.
const recordsADay = 24 * 60 * 60 / 10

// busySummary returns a summary as of a service of the size of the quick start that has every metric,
// several endpoints, unusual signals and incidents. It is the same in every run.
func busySummary() *runtimeinfo.Snapshot {
	var points []runtimeinfo.Point
	for i, m := range append(catalogue.All(), &runtimeinfo.Metric{Name: "shop.queue.depth", Unit: "{order}", Kind: runtimeinfo.KindGauge, Headline: true, Ranged: true}) {
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
		for _, label := range []string{"net/http.(*persistConn).Read (transport.go:2174)", "GET /orders/{id}", "POST /checkout", "fluentd"} {
			p.Labels = slices.Repeat([]string{label}, len(m.Keys))
			points = append(points, p)
		}
	}
	s := runtimeinfo.NewSnapshot(points...)
	x := exporttest.Summary()
	s.Time, s.Since, s.Ticks, s.Spans = x.Time, x.Since, x.Ticks, x.Spans
	s.Resource = append(x.Resource,
		runtimeinfo.Attr{Key: "host.name", Value: "node-17.eu-central-1.example.com"}, runtimeinfo.Attr{Key: "process.pid", Value: "1"},
		runtimeinfo.Attr{Key: "process.runtime.version", Value: "go1.26.8"}, runtimeinfo.Attr{Key: "k8s.pod.name", Value: "checkout-7d9f8b6c5-x2x9k"},
		runtimeinfo.Attr{Key: "k8s.namespace.name", Value: "shop"}, runtimeinfo.Attr{Key: "container.id", Value: "4bf92f3577b34da6a3ce929d0e0e47364bf92f3577b34da6a3ce929d0e0e4736"})
	for range 26 {
		s.Bands = append(s.Bands, runtimeinfo.Band{Signal: "root_span.p99 GET /orders/{id}", Unit: "s", Value: 0.4567, Upper: 0.1234, Since: s.Since})
	}
	s.Incidents = []*runtimeinfo.Incident{exporttest.Event().Incident, exporttest.Event().Incident}
	return s
}

// quickStart returns a summary of ten ticks of an agent that traces requests to four endpoints.
func quickStart(tb testing.TB) *runtimeinfo.Snapshot {
	tb.Helper()
	var sum summary.Summary
	enough := make(chan struct{})
	ticks := 0
	collect := exporters.Func(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		if ticks++; ticks > 10 && ticks <= 20 { // the first ticks have fewer values
			sum.Add(s)
		}
		if ticks == 20 {
			close(enough)
		}
		return nil
	})
	a, err := agent.Start(agent.WithListen("off"), agent.WithInterval(50*time.Millisecond), agent.WithHostInterval(100*time.Millisecond),
		agent.WithExporter("collect", collect, engine.EveryTick()), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		tb.Fatal(err)
	}
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor())).Tracer("")
	for i := range 16 {
		tracer.Start(tb.Context(), [...]string{"GET /checkout", "GET /search", "GET /stock", "GET /report"}[i%4]) //nolint:spancheck // they stay active
	}
	<-enough
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		tb.Error(err)
	}
	return sum.Snapshot()
}

// jsonBytes returns the size of a record in JSON, which is larger than in MessagePack.
func jsonBytes(tb testing.TB, record iter.Seq2[string, any]) float64 {
	tb.Helper()
	b, err := json.Marshal(maps.Collect(record))
	if err != nil {
		tb.Fatal(err)
	}
	return float64(len(b))
}

func busyRecord(tb testing.TB) float64 {
	tb.Helper()
	return jsonBytes(tb, exporters.Record(busySummary())) / 1e3
}

func busyKeys(testing.TB) float64 {
	return float64(len(maps.Collect(exporters.Record(busySummary()))))
}

func busyFullRecord(tb testing.TB) float64 {
	tb.Helper()
	return jsonBytes(tb, exporters.FullRecord(busySummary())) / 1e3
}

func liveRecord(tb testing.TB) float64 {
	tb.Helper()
	return jsonBytes(tb, exporters.Record(quickStart(tb))) / 1e3
}

// liveDay has the records of a day, and an event every quarter of an hour.
func liveDay(tb testing.TB) float64 {
	tb.Helper()
	e := exporttest.Event()
	return liveRecord(tb)*recordsADay/1e3 + jsonBytes(tb, exporters.EventRecord(quickStart(tb), &e))*96/1e6
}
