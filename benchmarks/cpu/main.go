// SPDX-License-Identifier: Apache-2.0

// Cpu compares the estimated CPU time by endpoint with the CPU time that the endpoints use.
//
//	go -C benchmarks run ./cpu -for 5m    with the defaults, 1 s in every 30
//	go -C benchmarks run ./cpu -quick     20 s with shorter periods and a wider tolerance: what CI runs
//
// A service has three endpoints that use 60, 30 and 10 % of the CPU. Requests of one endpoint differ by up
// to a half: work that repeats every 50 ms would be in step with the samples, one per 10 ms. Each handler
// measures the CPU time of its thread. The estimates come from api/v1/cpu. The program fails if one of them is off by more
// than the tolerance.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// endpoint uses CPU time in proportion to its units.
type endpoint struct {
	name  string
	units int
	used  atomic.Int64 // CPU time of its handler, in nanoseconds
}

func endpoints() []*endpoint {
	return []*endpoint{{name: "GET /large", units: 60}, {name: "GET /middle", units: 30}, {name: "GET /small", units: 10}}
}

func main() {
	length := flag.Duration("for", 5*time.Minute, "how long to measure")
	every := flag.Duration("every", 0, "period of the profiles of one second; shorter ones have more samples (0: the default)")
	quick := flag.Bool("quick", false, "measure for 20 s with shorter periods")
	flag.Parse()
	c := profiler.Config{Every: *every}
	tolerance := func(share, deviation float64) bool { return share <= 0.10 }
	if *quick {
		*length = 20 * time.Second
		c = profiler.Config{For: 500 * time.Millisecond, Every: time.Second}
		tolerance = func(share, deviation float64) bool { return share <= 0.15+3*deviation }
	}
	if err := run(*length, c, tolerance); err != nil {
		fmt.Fprintln(os.Stderr, "cpu:", err)
		os.Exit(1)
	}
}

func run(length time.Duration, c profiler.Config, within func(share, deviation float64) bool) error {
	a, err := agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithProfiler(&c), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	defer func() { _ = a.Stop(context.Background()) }()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor())).Tracer("cpu")
	all := endpoints()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for _, e := range all {
		mux.Handle(e.name, e.handler(tracer))
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // ends with the program
	if err := load("http://"+l.Addr().String(), length); err != nil {
		return err
	}
	u, err := usage(a.URL() + "debug/gmpulse/api/v1/cpu")
	if err != nil {
		return err
	}
	return report(u, all, within)
}

// handler burns CPU time under a root span.
func (e *endpoint) handler(t trace.Tracer) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, span := t.Start(r.Context(), e.name)
		defer span.End()
		meter := cputime.Start()
		burn(e.units * (50 + rand.IntN(101)) / 100)
		e.used.Add(int64(meter.Stop()))
	})
}

//nolint:gochecknoglobals // keeps the compiler from removing the loop
var sink atomic.Uint64

// burn uses about 50 µs of CPU time for each unit.
func burn(units int) {
	x := uint64(units)
	for range units * 50_000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	sink.Store(x)
}

// load requests the endpoints in a random order.
func load(base string, length time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for ctx.Err() == nil {
				path := []string{"/large", "/middle", "/small"}[rand.IntN(3)]
				if err := get(ctx, base+path, io.Discard); err != nil && ctx.Err() == nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func get(ctx context.Context, url string, to io.Writer) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return errors.New(url + ": " + answer.Status)
	}
	_, err = io.Copy(to, answer.Body)
	return err
}

// answer is a part of the answer of api/v1/cpu.
type answer struct {
	Profiles int     `json:"profiles"`
	Missed   int     `json:"missed"`
	Total    float64 `json:"total_seconds"`
	Observed float64 `json:"observed_seconds"`
	Unowned  float64 `json:"unowned_seconds"`
	Runtime  float64 `json:"runtime_seconds"`
	From     int64   `json:"from"`
	To       int64   `json:"to"`
	Roots    []struct {
		Root    string  `json:"root"`
		Seconds float64 `json:"seconds"`
		Error   float64 `json:"error"`
		Samples int     `json:"samples"`
	} `json:"roots"`
}

func usage(url string) (u answer, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, w := io.Pipe()
	go func() { w.CloseWithError(get(ctx, url, w)) }()
	return u, json.NewDecoder(r).Decode(&u)
}

// report prints the estimates beside the truth. The profiles stand for slightly less time than the
// load took, so that their CPU time is compared in shares of the endpoints.
func report(u answer, all []*endpoint, within func(share, deviation float64) bool) error {
	fmt.Printf("%s, %d CPUs: %d profiles in %.0f s, %d missed; %.1f s of CPU time, %.1f s of it in profiles\n\n",
		runtime.Version(), runtime.NumCPU(), u.Profiles, float64(u.To-u.From)/1000, u.Missed, u.Total, u.Observed)
	fmt.Println("| endpoint | used | estimate | off by | standard error | samples |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	used, estimated := 0.0, 0.0
	for _, e := range all {
		used += time.Duration(e.used.Load()).Seconds()
	}
	for _, r := range u.Roots {
		estimated += r.Seconds
	}
	var errs []error
	for _, e := range all {
		truth := time.Duration(e.used.Load()).Seconds() / used
		found := false
		for _, r := range u.Roots {
			if r.Root != e.name {
				continue
			}
			found = true
			estimate := r.Seconds / estimated
			off, deviation := estimate/truth-1, r.Error/r.Seconds
			fmt.Printf("| %s | %.2f %% | %.2f %% | %+.1f %% | %.1f %% | %d |\n", e.name, 100*truth, 100*estimate, 100*off, 100*deviation, r.Samples)
			if !within(math.Abs(off), deviation) {
				errs = append(errs, fmt.Errorf("%s: the estimate is off by %.1f %%", e.name, 100*off))
			}
		}
		if !found {
			errs = append(errs, errors.New("no estimate for "+e.name))
		}
	}
	fmt.Printf("\nAll endpoints used %.1f s of CPU time; the estimate is %.1f s. Without a root span: %.1f s; the runtime: %.1f s.\n", used, estimated, u.Unowned, u.Runtime)
	return errors.Join(errs...)
}
