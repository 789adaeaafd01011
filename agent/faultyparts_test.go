// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Start returns an error for an interface value that holds a nil pointer.
func TestStartRefusesTypedNil(t *testing.T) {
	for name, o := range map[string]agent.Option{
		`the exporter "x" is nil (*evidence.Store)`: agent.WithExporter("x", (*evidence.Store)(nil)),
		`the exporter "x" is nil (exporters.Func)`:  agent.WithExporter("x", exporters.Func(nil)),
		`the exporter "x" is nil (<nil>)`:           agent.WithExporter("x", nil),
	} {
		a, err := agent.Start(agent.WithListen("off"), agent.WithLogger(slog.New(slog.DiscardHandler)), o)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		stop(t, a)
	}
}

// faultyProvider is a TracerProvider that calls register and unregister.
type faultyProvider struct {
	*sdktrace.TracerProvider
	register, unregister func()
}

func (p *faultyProvider) RegisterSpanProcessor(sdktrace.SpanProcessor)   { p.register() }
func (p *faultyProvider) UnregisterSpanProcessor(sdktrace.SpanProcessor) { p.unregister() }

// faultyExporter is an exporter whose methods call end.
type faultyExporter struct{ end func() }

func (x faultyExporter) Export(context.Context, *runtimeinfo.Snapshot) error { x.end(); return nil }

func (x faultyExporter) Shutdown(context.Context) error { x.end(); return nil }

func (x faultyExporter) stats() exporters.Stats {
	x.end()
	return exporters.Stats{}
}

// faultyHandler is a log handler one of whose methods calls end. calls counts these.
type faultyHandler struct {
	method string
	end    func()
	calls  *atomic.Int64
}

func (h faultyHandler) call(method string) {
	if method == h.method {
		h.calls.Add(1)
		h.end()
	}
}

func (h faultyHandler) Enabled(context.Context, slog.Level) bool  { h.call("Enabled"); return true }
func (h faultyHandler) Handle(context.Context, slog.Record) error { h.call("Handle"); return nil }
func (h faultyHandler) WithAttrs([]slog.Attr) slog.Handler        { h.call("WithAttrs"); return h }
func (h faultyHandler) WithGroup(string) slog.Handler             { h.call("WithGroup"); return h }

// faultyError is an error one of whose methods calls end.
type faultyError struct {
	method string
	end    func()
}

func (e *faultyError) call(method string) {
	if method == e.method {
		e.end()
	}
}

func (e *faultyError) Error() string { e.call("Error"); return "down" }
func (e *faultyError) Is(error) bool { e.call("Is"); return false }
func (e *faultyError) As(any) bool   { e.call("As"); return false }
func (e *faultyError) Unwrap() error { e.call("Unwrap"); return nil }

// The agent ticks and Stop returns by its deadline while an exporter, a log handler, a
// TracerProvider or a gauge panics, calls runtime.Goexit or hangs in every method.
func TestFaultyPartsDoNotStopTheAgent(t *testing.T) {
	release := make(chan struct{})
	var released sync.Once
	unblock := func() { released.Do(func() { close(release) }) }
	defer unblock()
	old := otel.GetTracerProvider()
	defer otel.SetTracerProvider(old)
	for how, end := range map[string]func(){
		"panics":  func() { panic("oh") },
		"goexits": runtime.Goexit,
		"hangs":   func() { <-release },
	} {
		parts := map[string]func() []agent.Option{
			"exporter": func() []agent.Option {
				x := faultyExporter{end}
				return []agent.Option{agent.WithQueue("x", x, x.stats, engine.EveryTick())}
			},
			"provider": func() []agent.Option {
				otel.SetTracerProvider(&faultyProvider{sdktrace.NewTracerProvider(), end, end})
				return nil
			},
		}
		for _, method := range []string{"Enabled", "Handle", "WithAttrs"} { // the agent calls no WithGroup
			calls := new(atomic.Int64)
			parts["log handler's "+method] = func() []agent.Option {
				t.Cleanup(func() {
					if calls.Load() == 0 {
						t.Errorf("the agent did not call %s of the log handler", method)
					}
				})
				return []agent.Option{agent.WithLogger(slog.New(faultyHandler{method, end, calls}))}
			}
		}
		for _, method := range []string{"Error", "Is", "As", "Unwrap"} {
			parts["error's "+method] = func() []agent.Option {
				x := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return &faultyError{method, end} })
				return []agent.Option{agent.WithExporter("x", x, engine.EveryTick())}
			}
		}
		for part, options := range parts {
			t.Run(part+" "+how, func(t *testing.T) {
				defer otel.SetTracerProvider(old)
				begin := time.Now()
				opts := append([]agent.Option{
					agent.WithListen("off"), agent.WithInterval(20 * time.Millisecond), agent.WithLogger(slog.New(slog.DiscardHandler)),
				}, options()...)
				a, err := agent.Start(opts...)
				if err != nil {
					t.Fatal(err)
				}
				if err := a.Gauge("faulty", "", "A gauge without a value.", func() float64 { end(); return 1 }); err != nil {
					t.Error(err)
				}
				testutil.Eventually(t, "the agent ticks", func() bool { s := a.Stats(); return s.Ticks > 10 })
				ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
				defer cancel()
				stopping := time.Now()
				if err := a.Stop(ctx); err != nil && how != "hangs" && part != "provider" {
					t.Error(err)
				}
				if took := time.Since(stopping); took > 3*time.Second { // without a deadline it would never return
					t.Errorf("Stop took %v, its deadline was 0.4 s", took)
				}
				t.Logf("the test took %v", time.Since(begin))
				checkFaultyExporter(t, a.Stats(), how)
			})
		}
	}
	unblock()
}

// checkFaultyExporter asserts that statistics balance and that failures of the exporter are counted.
func checkFaultyExporter(t *testing.T, stats engine.Stats, how string) {
	t.Helper()
	for _, x := range stats.Exporters {
		if s := x.Snapshots; s.Accepted != s.Delivered+s.Lost()+s.Pending {
			t.Errorf("%s: %+v", x.Name, s)
		}
		if x.Name == "x" && how != "hangs" && (x.State == exporters.StateIdle || x.Panics+x.Errors == 0) {
			t.Errorf("%+v", x)
		}
	}
}
