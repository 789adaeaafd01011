// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/internal/manifest"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

func TestEvidenceIsOffByDefault(t *testing.T) {
	a, _ := start(t)
	if _, err := a.Capture(t.Context(), "test"); err == nil || a.Evidence() != nil {
		t.Errorf("captures: %v", err)
	}
}

// WithEvidence(nil) and GMPULSE_CAPTURE_DIR=off switch evidence off.
func TestEvidenceCanBeSwitchedOff(t *testing.T) {
	for value, opt := range map[string]agent.Option{
		t.TempDir(): agent.WithEvidence(nil),
		"off":       nil,
		"False":     nil,
	} {
		t.Setenv("GMPULSE_CAPTURE_DIR", value)
		a, _ := start(t, opt)
		if a.Evidence() != nil {
			t.Errorf("GMPULSE_CAPTURE_DIR=%s: evidence is on", value)
		}
		stop(t, a)
	}
}

// A capture is in Agent.Evidence, in the metrics and on the page.
func TestCapture(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("GMPULSE_CAPTURE_DIR", dir)
	a, _ := start(t, agent.WithEvidence(&evidence.Config{Dir: dir, MinFree: 1, ProfileFor: 10 * time.Millisecond}))
	testutil.Eventually(t, "a sample", func() bool { return a.Snapshot() != nil })
	id, err := a.Capture(t.Context(), "a test")
	if err != nil {
		t.Fatal(err)
	}
	sub, err := fs.Sub(a.Evidence(), id)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := manifest.Read(sub); err != nil || m.Reason != "a test" || len(m.Files) < 6 {
		t.Errorf("manifest %+v, %v", m, err)
	}
	testutil.Eventually(t, "/metrics counts the bundle", func() bool {
		_, body := get(t, a.URL()+"metrics")
		return strings.Contains(body, `gmpulse_captures_total{outcome="made"} 1`)
	})
	code, body := get(t, a.URL()+"debug/gmpulse/api/v1/captures")
	if code != http.StatusOK || !strings.Contains(body, id) {
		t.Errorf("the page answers %d: %s", code, body)
	}
}

// A slow span gets attributes, an event, metrics and a bundle of evidence.
func TestSlowSpanIsAnalyzed(t *testing.T) {
	r, err := exectrace.New(exectrace.Config{Mode: exectrace.Always, Every: 200 * time.Millisecond, MaxShare: 1e6, MaxRate: 1 << 40, SlowerThan: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	slow := make(chan runtimeinfo.Event, 1)
	a, _ := start(t, agent.WithMetrics("default", "spans"), agent.WithRecorder(r), agent.WithEvidence(&evidence.Config{ProfileFor: 10 * time.Millisecond}),
		agent.WithExporter("test", exporters.Func(func(_ context.Context, s *runtimeinfo.Snapshot) error {
			for _, e := range s.Events {
				if e.Name == "span.slow" {
					slow <- e
				}
			}
			return nil
		})))
	testutil.Eventually(t, "a recorded window", func() bool { return r.Window() != nil })
	old := otel.GetTracerProvider()
	defer otel.SetTracerProvider(old)
	exported := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor()), sdktrace.WithBatcher(r.WrapExporter(keep{exported})))
	_, span := provider.Tracer("test").Start(t.Context(), "GET /slow")
	time.Sleep(40 * time.Millisecond)
	span.End()
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, s := range exported.GetSpans() {
		for _, kv := range s.Attributes {
			found = found || kv.Key == "gmpulse.span.exec.blocked.sleep" && kv.Value.AsFloat64() >= 0.02
		}
	}
	if !found {
		t.Errorf("the slow span has no attribute for its sleep: %+v", exported.GetSpans())
	}
	select {
	case e := <-slow:
		if len(e.Spans) != 1 || e.Spans[0].Name != "GET /slow" {
			t.Errorf("event %+v", e)
		}
	case <-time.After(10 * time.Second):
		t.Error("no event")
	}
	testutil.Eventually(t, "the time of slow spans in /metrics", func() bool {
		_, body := get(t, a.URL()+"metrics")
		return strings.Contains(body, `gmpulse_root_span_exact_time_seconds_total{span_name="GET /slow",state="blocked"}`) &&
			strings.Contains(body, `gmpulse_slow_spans_total{outcome="explained"} 1`)
	})
	checkSlowSpanBundle(t, a)
}

// checkSlowSpanBundle waits for a bundle about the slow span.
func checkSlowSpanBundle(t *testing.T, a *agent.Agent) {
	t.Helper()
	testutil.Eventually(t, "a bundle", func() bool {
		entries, err := fs.ReadDir(a.Evidence(), ".")
		return err == nil && len(entries) == 1
	})
	entries, _ := fs.ReadDir(a.Evidence(), ".")
	text, err := fs.ReadFile(a.Evidence(), entries[0].Name()+"/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var m manifest.Manifest
	if err := json.Unmarshal(text, &m); err != nil || m.Cause != "span.slow GET /slow" {
		t.Errorf("manifest %+v, %v", m, err)
	}
	if _, err := fs.Stat(a.Evidence(), entries[0].Name()+"/execution.trace"); err != nil {
		t.Error(err)
	}
}

// keep is an exporter whose Shutdown does not delete its spans.
type keep struct{ *tracetest.InMemoryExporter }

func (keep) Shutdown(context.Context) error { return nil }
