// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/trace"
	"sync"
	"sync/atomic"
	"time"

	otelpyroscope "github.com/grafana/otel-profiling-go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"go.opentelemetry.io/otel"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// watcher is a library that runs in the application's process during a slice.
type watcher struct {
	start, stop func()
	ticks       atomic.Uint64
}

// every returns a watcher that calls f at an interval.
func every(interval time.Duration, f func()) *watcher {
	w := &watcher{}
	var quit chan struct{}
	var wg sync.WaitGroup
	w.start = func() {
		defer pause()
		quit = make(chan struct{})
		wg.Go(func() {
			ticker := time.NewTicker(interval)
			defer ticker.Stop()
			for {
				select {
				case <-quit:
					return
				case <-ticker.C:
					f()
					w.ticks.Add(1)
				}
			}
		})
	}
	w.stop = func() {
		close(quit)
		wg.Wait()
	}
	return w
}

// wholeAgent returns the agent with its defaults, an additional exporter and the spans
// of the application.
func wholeAgent(interval time.Duration, opts ...agent.Option) *watcher {
	w := &watcher{}
	var a *agent.Agent
	counted := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error {
		w.ticks.Add(1)
		return nil
	})
	w.start = func() {
		var err error
		a, err = agent.Start(append(opts, agent.WithListen("127.0.0.1:0"), agent.WithInterval(interval), agent.WithHostInterval(max(interval, 100*time.Millisecond)*10),
			agent.WithExporter("counted", counted, engine.EveryTick()), agent.WithLogger(slog.New(slog.DiscardHandler)))...)
		if err != nil {
			panic(err)
		}
		pause() // so that the slice does not include the cost of starting
	}
	w.stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			panic(err)
		}
	}
	return w
}

// pause waits before each slice, also of the reference, because a slice after a pause is
// slower than one without.
func pause() { time.Sleep(100 * time.Millisecond) }

// flightRecorder returns a watcher that runs the flight recorder of the runtime.
func flightRecorder() *watcher {
	var r *trace.FlightRecorder
	return &watcher{
		start: func() {
			r = trace.NewFlightRecorder(trace.FlightRecorderConfig{})
			if err := r.Start(); err != nil {
				panic(err)
			}
			pause()
		},
		stop: func() { r.Stop() },
	}
}

// withWatcher returns a case: the application under load with a watcher.
func withWatcher(name string, l *load, w *watcher) sidebyside.Case {
	return sidebyside.Case{Name: name, Run: l.run, Before: w.start, After: w.stop, Ticks: w.ticks.Load}
}

// must returns a function that panics if f returns an error.
func must(f func() error) func() {
	return func() {
		if err := f(); err != nil {
			panic(err)
		}
	}
}

// clientGolangTick returns a function that gathers client_golang's Go and process
// collectors and writes them in the text format.
func clientGolangTick() func() error {
	r := prometheus.NewRegistry()
	r.MustRegister(goAndProcess()...)
	return func() error {
		families, err := r.Gather()
		if err != nil {
			return err
		}
		var b bytes.Buffer
		for _, f := range families {
			if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
				return err
			}
		}
		return nil
	}
}

// bench is the application under load.
type bench struct {
	stored []byte
	plain  *load // with the global tracer provider, to which the agent attaches
}

func newBench() (*bench, error) {
	stored, err := someOrder()
	if err != nil {
		return nil, err
	}
	tp := appProvider()
	otel.SetTracerProvider(tp)
	plain, err := newLoad(application(tp, stored))
	return &bench{stored, plain}, err
}

func (b *bench) reference(name string) sidebyside.Case {
	return sidebyside.Case{Name: name, Run: b.plain.run, Before: pause}
}

// printApp compares the CPU time of a request with gmpulse and with other libraries that
// work at each request, relative to the application alone.
func printApp(e effort) error {
	b, err := newBench()
	if err != nil {
		return err
	}
	mapped, err1 := newLoad(application(appProvider(&mapped{}), b.stored))
	wrapped, err2 := newLoad(application(otelpyroscope.NewTracerProvider(appProvider()), b.stored))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	slow := e.pairs // a slice must be long enough for a tick each second
	if !e.quick {
		slow = sidebyside.Effort{Rounds: 40, Slice: time.Second}
	}
	head("the application with", "CPU per request, × nothing", "95 % interval", "more bytes allocated per request")
	pairs := sidebyside.Pairs(slow, b.reference("nothing"), []sidebyside.Case{
		b.reference("nothing, measured again"),
		withWatcher("**gmpulse** agent, every second", b.plain, wholeAgent(time.Second)),
	})
	pairs = append(pairs, sidebyside.Pairs(e.pairs, b.reference("nothing"), []sidebyside.Case{
		{Name: "a sync.Map of spans", Run: mapped.run, Before: pause},
		{Name: "otel-profiling-go", Run: wrapped.run, Before: pause},
		withWatcher("a flight recorder, always on", b.plain, flightRecorder()),
	})...)
	for _, p := range pairs {
		row(p.Name, threeDigits(p.Ratio), interval95(p), size(p.Bytes))
	}
	fmt.Printf("\nA request takes %s of CPU, including the client's part.\n", duration(pairs[0].Base))
	return nil
}

// printProfiler compares the CPU time of a request with and without CPU profiles. They take half of the
// time instead of a thirtieth, so that their cost exceeds the noise.
func printProfiler(e effort) error {
	b, err := newBench()
	if err != nil {
		return err
	}
	often := profiler.Config{For: 500 * time.Millisecond, Every: time.Second} // also ends 30 times as many
	slow := sidebyside.Effort{Rounds: 40, Slice: 2 * time.Second}
	if e.quick {
		often = profiler.Config{For: 100 * time.Millisecond, Every: 200 * time.Millisecond}
		slow = sidebyside.Effort{Rounds: 2, Slice: 200 * time.Millisecond}
	}
	reference := withWatcher("the agent", b.plain, wholeAgent(time.Second))
	head("the agent with", "CPU per request, × the agent", "95 % interval", "at 1 s in 30, at most")
	for _, p := range sidebyside.Pairs(slow, reference, []sidebyside.Case{
		withWatcher("nothing else, measured again", b.plain, wholeAgent(time.Second)),
		withWatcher("CPU profiles for 0.5 s in every second", b.plain, wholeAgent(time.Second, agent.WithProfiler(&often))),
	}) {
		row(p.Name, threeDigits(p.Ratio), interval95(p), fmt.Sprintf("%.2f %%", 100*(p.Ratio-1)/15))
	}
	return nil
}

// printTicks compares the ticks of gmpulse and of other libraries in a busy application.
// They run at a hundred times the default rate, so that their cost exceeds the noise.
func printTicks(e effort) error {
	const interval = 10 * time.Millisecond
	b, err := newBench()
	if err != nil {
		return err
	}
	hostAndRuntime, err1 := collectOTel(true, true)
	statsvizSample, err2 := statsvizTick()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	all := []struct {
		name    string
		watcher *watcher
	}{
		{"an empty ticker", every(interval, func() {})},
		{"**gmpulse** agent, with the spans of requests", wholeAgent(interval)},
		{"client_golang Go and process with text", every(interval, must(clientGolangTick()))},
		{"OTel contrib runtime and host", every(interval, must(hostAndRuntime))},
		{"statsviz", every(interval, must(statsvizSample))},
		{"VictoriaMetrics metrics", every(interval, victoriaMetrics)},
		{"DataDog runtime metrics", every(interval, datadogTick())},
		{"holmes without its sleep", every(interval, must(holmesTick))},
	}
	var watchers []*watcher
	var cases []sidebyside.Case
	for _, w := range all {
		watchers = append(watchers, w.watcher)
		cases = append(cases, withWatcher(w.name, b.plain, w.watcher))
	}
	ticks, err := traced(e.traces, b.plain, watchers)
	if err != nil {
		return err
	}
	head("the application with, every 10 ms", "a tick on a processor, median", "95 % interval", "90th percentile")
	for i := range ticks {
		m, low, high := ticks[i].median()
		row(all[i].name, duration(m), duration(low)+" – "+duration(high), duration(sidebyside.Quantile(ticks[i].took, 0.9)))
	}
	fmt.Printf("\nThe medians of the parts of gmpulse: %s.\n\nThe CPU time of the whole process, which has more noise:\n\n", ticks[1].describeParts())
	head("the application with, every 10 ms", "CPU per request, × nothing", "95 % interval", "CPU per tick")
	for _, p := range sidebyside.Pairs(e.pairs, b.reference("nothing"), cases) {
		row(p.Name, threeDigits(p.Ratio), interval95(p), duration(p.PerTick))
	}
	return nil
}

func interval95(p sidebyside.Pair) string { return threeDigits(p.Low) + " – " + threeDigits(p.High) }
