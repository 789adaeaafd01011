// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/internal/capacity"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
	"github.com/gmpulse/gmpulse/tracectx"
)

// service makes the snapshots of a service with many gauges, names of root spans, or events a tick.
type service struct {
	catalogue *runtimeinfo.Catalogue
	gauges    []*runtimeinfo.Metric
	names     []string
	events    int
	tracer    trace.Tracer
	builder   *runtimeinfo.Builder
	analyzers []engine.Analyzer
	last      *runtimeinfo.Snapshot
}

func newService(t *testing.T, gauges, names, events int) *service {
	t.Helper()
	s := &service{events: events, builder: new(runtimeinfo.Builder), last: &runtimeinfo.Snapshot{Time: time.Now()}}
	for i := range gauges {
		s.gauges = append(s.gauges, &runtimeinfo.Metric{
			Name: fmt.Sprintf("app.depth%d", i), Kind: runtimeinfo.KindGauge, Ranged: true, Headline: true, Help: "Items.", Subsystem: runtimeinfo.SubsystemUser,
		})
	}
	for i := range names {
		s.names = append(s.names, fmt.Sprintf("GET /%d", i))
	}
	p, err := tracectx.New(tracectx.Config{MaxNames: names})
	if err != nil {
		t.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p))
	t.Cleanup(func() { _ = provider.Shutdown(t.Context()) })
	s.tracer = provider.Tracer("")
	w, err := baseline.New(baseline.Config{})
	if err != nil {
		t.Fatal(err)
	}
	cpu, err := profiler.New(profiler.Config{RootLabel: tracectx.RootLabel})
	if err != nil {
		t.Fatal(err)
	}
	s.analyzers = []engine.Analyzer{p, tracectx.NewHistory(0), goroutines.NewDetector(goroutines.DetectorConfig{}), capacity.New(p.Inner), w, cpu}
	s.catalogue, err = runtimeinfo.NewCatalogue(append(slices.Clip(catalogue.All()), s.gauges...)...)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // buffers grow
		s.tick(t)
	}
	return s
}

// tick begins and ends a root span of each name, and returns the snapshot of one second later.
func (s *service) tick(t *testing.T) *runtimeinfo.Snapshot {
	t.Helper()
	for _, name := range s.names {
		_, span := s.tracer.Start(t.Context(), name)
		span.End()
	}
	at := s.last.Time.Add(time.Second)
	b := s.builder.Reset(s.catalogue, runtimeinfo.Snapshot{Seq: s.last.Seq + 1, Time: at, Ticks: 1, Since: s.last.Time, Start: at.Add(-time.Hour)})
	for i, m := range s.gauges { // as the engine does: each gauge has a draft
		d := b.Draft()
		d.Add(m, float64(i))
		b.Merge(d)
	}
	d := b.Draft()
	for i := range s.events {
		d.Events = append(d.Events, runtimeinfo.Event{Time: at, Name: "app.happened", Message: fmt.Sprintf("happened %d", i), Attrs: []slog.Attr{slog.Int("i", i)}})
	}
	b.Merge(d)
	for _, a := range s.analyzers {
		d := b.Draft()
		a.Analyze(d)
		b.Merge(d)
	}
	s.last = b.Snapshot()
	return s.last
}
