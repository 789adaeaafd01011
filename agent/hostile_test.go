// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// What is nil behind an interface is an error of Start that names the option, and no
// panic of a later tick.
func TestTypedNil(t *testing.T) {
	for name, o := range map[string]agent.Option{
		`the exporter "x" is nil (*evidence.Store)`:           agent.WithExporter("x", (*evidence.Store)(nil)),
		`the exporter "x" is nil (exporters.Func)`:            agent.WithExporter("x", exporters.Func(nil)),
		`the exporter "x" is nil (<nil>)`:                     agent.WithExporter("x", nil),
		"Config.Trace is a nil *exectrace.Recorder: leave it": agent.WithEvidence(evidence.Config{Trace: (*exectrace.Recorder)(nil)}),
	} {
		a, err := agent.Start(agent.WithListen("off"), agent.WithLogger(slog.New(slog.DiscardHandler)), o)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		stop(t, a)
	}
}

// hostileProvider is a TracerProvider of which registering a processor does what the
// test says.
type hostileProvider struct {
	*sdktrace.TracerProvider
	register, unregister func()
}

func (p *hostileProvider) RegisterSpanProcessor(sdktrace.SpanProcessor)   { p.register() }
func (p *hostileProvider) UnregisterSpanProcessor(sdktrace.SpanProcessor) { p.unregister() }

// hostileExporter is an exporter whose methods do what the test says.
type hostileExporter struct{ end func() }

func (x hostileExporter) Export(context.Context, *runtimeinfo.Snapshot) error { x.end(); return nil }

func (x hostileExporter) Shutdown(context.Context) error { x.end(); return nil }

func (x hostileExporter) stats() exporters.Stats {
	x.end()
	return exporters.Stats{}
}

// hostileHandler is a log handler whose methods do what the test says.
type hostileHandler struct {
	slog.Handler
	end func()
}

func (h hostileHandler) Handle(context.Context, slog.Record) error { h.end(); return nil }
func (h hostileHandler) WithAttrs([]slog.Attr) slog.Handler        { h.end(); return h }

// TestHostileParts gives the agent foreign code that panics, ends its goroutine or
// hangs, in every method. Start returns, the loop ticks, and Stop keeps its deadline.
func TestHostileParts(t *testing.T) {
	release := make(chan struct{})
	var released sync.Once
	free := func() { released.Do(func() { close(release) }) }
	defer free()
	old := otel.GetTracerProvider()
	defer otel.SetTracerProvider(old)
	for how, end := range map[string]func(){
		"panics":  func() { panic("oh") },
		"goexits": runtime.Goexit,
		"hangs":   func() { <-release },
	} {
		parts := map[string]func() []agent.Option{
			"exporter": func() []agent.Option {
				x := hostileExporter{end}
				return []agent.Option{agent.WithQueue("x", x, x.stats)}
			},
			"log handler": func() []agent.Option {
				return []agent.Option{agent.WithLogger(slog.New(hostileHandler{slog.DiscardHandler, end}))}
			},
			"provider": func() []agent.Option {
				otel.SetTracerProvider(&hostileProvider{sdktrace.NewTracerProvider(), end, end})
				return nil
			},
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
				if err := a.Gauge("hostile", "", "Never there.", func() float64 { end(); return 1 }); err != nil {
					t.Error(err)
				}
				testutil.Eventually(t, "it ticks", func() bool { s := a.Stats(); return s.Ticks > 10 })
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				stopping := time.Now()
				if err := a.Stop(ctx); err != nil && how != "hangs" && part != "provider" {
					t.Error(err)
				}
				if took := time.Since(stopping); took > 3*time.Second { // else for ever
					t.Errorf("Stop took %v, its deadline was 1 s", took)
				}
				t.Logf("all of it took %v", time.Since(begin))
				for _, x := range a.Stats().Exporters {
					if s := x.Snapshots; s.Accepted != s.Delivered+s.Lost()+s.Pending {
						t.Errorf("%s: %+v", x.Name, s)
					}
					if x.Name == "x" && how != "hangs" && (x.State == exporters.StateIdle || x.Panics == 0) {
						t.Errorf("%+v", x)
					}
				}
			})
		}
	}
	free()
}
