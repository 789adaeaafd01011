// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// RunProgram runs p in this process for d, writes the result to a file, and ends
// the process.
func RunProgram(p *Program, d time.Duration, result string) {
	w := &World{Clock: Clock{time.Now(), d}, Ctx: context.Background(), program: p}
	events := &recorder{start: w.Start}
	a, err := agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithExporter("corpus", exporters.Func(events.export), engine.EveryTick()),
		agent.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	Must(err)
	w.spans(a)
	go p.Run(w)
	r := w.watch(a)
	r.Events = events.all()
	w.roles.stop()
	raw, err := json.MarshalIndent(r, "", " ")
	Must(err)
	Must(os.WriteFile(result, raw, 0o600))
	os.Exit(0) // programs that leak are not expected to stop
}

// spans gives the program its TracerProvider.
func (w *World) spans(a *agent.Agent) {
	switch w.program.Spans {
	case None:
	case Private:
		w.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor()))
	case Global:
		provider := sdktrace.NewTracerProvider()
		otel.SetTracerProvider(provider)
		w.provider = provider
	}
}

// watch looks at goroutines and verdicts until the run ends.
func (w *World) watch(a *agent.Agent) Result {
	r := Result{Name: w.program.Name}
	var stood standing
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for time.Since(w.Start) < w.For {
		<-tick.C
		r.Peak = max(r.Peak, runtime.NumGoroutine())
		r.Final = stood.note(a, time.Since(w.Start).Seconds())
	}
	r.Standing = stood.all
	r.Seconds = time.Since(w.Start).Seconds()
	r.Requests = w.requests.Load()
	r.CPU = cpu()
	r.Goroutines = runtime.NumGoroutine()
	r.Truth = truth()
	stats := a.Stats()
	r.Ticks, r.Missed = stats.Ticks, stats.TicksMissed
	return r
}

// cpu returns the CPU time of this process in seconds.
func cpu() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
