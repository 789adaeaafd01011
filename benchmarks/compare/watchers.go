package main

import (
	"bytes"
	"context"
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
	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// watcher runs beside the application during its slices.
type watcher struct {
	start, stop func()
	ticks       atomic.Uint64
}

// every calls f at an interval.
func every(interval time.Duration, f func()) *watcher {
	w := &watcher{}
	var quit chan struct{}
	var wg sync.WaitGroup
	w.start = func() {
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

// everything is the agent with all that it does by itself, an exporter more, and
// the application's spans.
func everything(interval time.Duration) *watcher {
	w := &watcher{}
	var a *agent.Agent
	counted := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error {
		w.ticks.Add(1)
		return nil
	})
	w.start = func() {
		var err error
		a, err = agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithInterval(interval), agent.WithHostInterval(max(interval, 100*time.Millisecond)*10),
			agent.WithExporter("counted", counted), agent.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			panic(err)
		}
		time.Sleep(100 * time.Millisecond) // what starting takes is not what running takes
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

// flightRecorder is the runtime's own, always on.
func flightRecorder() *watcher {
	var r *trace.FlightRecorder
	return &watcher{
		start: func() {
			r = trace.NewFlightRecorder(trace.FlightRecorderConfig{})
			if err := r.Start(); err != nil {
				panic(err)
			}
		},
		stop: func() { r.Stop() },
	}
}

// beside is the application's load with a watcher at its side.
func beside(name string, l *load, w *watcher) sidebyside.Case {
	return sidebyside.Case{Name: name, Run: l.run, Before: w.start, After: w.stop, Ticks: w.ticks.Load}
}

// must makes f one that fails loudly.
func must(f func() error) func() {
	return func() {
		if err := f(); err != nil {
			panic(err)
		}
	}
}

// scrapeOf renders what client_golang's Go and process collectors have.
func scrapeOf() func() error {
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

// printApp compares the CPU time of a request with watchers and without.
func printApp(e effort) error {
	stored, err := someOrder()
	if err != nil {
		return err
	}
	plain, err := newLoad(application(appProvider(), stored))
	if err != nil {
		return err
	}
	watchedProvider := appProvider() // the agent attaches its span processor
	otel.SetTracerProvider(watchedProvider)
	watched, err1 := newLoad(application(watchedProvider, stored))
	mapProvider, err2 := newLoad(application(appProvider(&mapped{}), stored))
	wrapped, err3 := newLoad(application(otelpyroscope.NewTracerProvider(appProvider()), stored))
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return err
		}
	}
	head("the application with", "CPU per request, × nothing", "95 % interval", "allocated per request, more", "CPU per tick")
	reference := sidebyside.Case{Name: "nothing", Run: plain.run}
	atOnce, err := atTenMilliseconds(plain, watched)
	if err != nil {
		return err
	}
	slow := e.pairs // ticks of a second need slices that have some
	if !e.quick {
		slow = sidebyside.Effort{Rounds: 30, Slice: time.Second}
	}
	printPairs(sidebyside.Pairs(slow, reference, []sidebyside.Case{
		beside("**gmpulse**, everything, every second", watched, everything(time.Second)),
	}))
	printPairs(sidebyside.Pairs(e.pairs, reference, append([]sidebyside.Case{
		{Name: "nothing again", Run: plain.run},
		{Name: "a sync.Map of spans", Run: mapProvider.run},
		{Name: "otel-profiling-go", Run: wrapped.run},
		beside("a flight recorder, always on", plain, flightRecorder()),
	}, atOnce...)))
	return nil
}

// atTenMilliseconds are gmpulse and its peers a hundred times as often as one
// would have them, so that a tick can be told from the noise.
func atTenMilliseconds(plain, watched *load) ([]sidebyside.Case, error) {
	const interval = 10 * time.Millisecond
	hostAndRuntime, err := collectOTel(true, true)
	if err != nil {
		return nil, err
	}
	statsvizSample, err := statsvizTick()
	if err != nil {
		return nil, err
	}
	return []sidebyside.Case{
		beside("an empty ticker, every 10 ms", plain, every(interval, func() {})),
		beside("**gmpulse**, everything, every 10 ms", watched, everything(interval)),
		beside("client_golang Go and process with text, every 10 ms", plain, every(interval, must(scrapeOf()))),
		beside("OTel contrib runtime and host, every 10 ms", plain, every(interval, must(hostAndRuntime))),
		beside("statsviz, every 10 ms", plain, every(interval, must(statsvizSample))),
		beside("VictoriaMetrics metrics, every 10 ms", plain, every(interval, victoriaMetrics)),
		beside("DataDog runtime metrics, every 10 ms", plain, every(interval, datadogTick())),
		beside("holmes without its sleep, every 10 ms", plain, every(interval, must(holmesTick))),
	}, nil
}

func printPairs(pairs []sidebyside.Pair) {
	for _, p := range pairs {
		tick := ""
		if p.Ticks >= 1 {
			tick = duration(p.PerTick)
		}
		row(p.Name, threeDigits(p.Ratio), threeDigits(p.Low)+" – "+threeDigits(p.High), size(p.Bytes), tick)
	}
}
