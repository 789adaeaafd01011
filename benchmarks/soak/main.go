// SPDX-License-Identifier: Apache-2.0

// Soak runs a service with everything on for a long time in little: samples come
// fifty times a second instead of once, so that ten minutes are eight hours of ticks.
//
//	go -C benchmarks run ./soak -for 10m
//	go -C benchmarks run ./soak -for 10m -hostile 240 -memory 160 -files 400
//	go -C benchmarks run ./soak -quick     twenty seconds, with 40 hostile clients: what CI runs
//
// Meanwhile thousands of goroutines come and go under spans, exporters fail in all
// the ways there are and recover, the Fluentd server goes away and comes back,
// viewers look at the page and scrapers at the metrics. Twice all that pauses, after
// a quarter of the time and at the end, and what the process holds is compared:
// heap, goroutines, descriptors and disk. At every second each exporter's account
// must balance.
//
// With -hostile, so many clients in a process of their own attack the agent's server
// meanwhile: a quarter of them have the token and never read what they asked for,
// others pipeline requests, send headers slowly, or have no token. With -memory and
// -files the process has a soft memory limit, as by GOMEMLIMIT, and a limit on open
// descriptors. The service's own requests, viewers and scrapers must go on, and what the
// process holds must stay within both. The exit status is 1 if anything of that fails.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/exporters/spool"
)

const (
	interval     = 20 * time.Millisecond
	hostInterval = 200 * time.Millisecond
)

func main() {
	length := flag.Duration("for", 10*time.Minute, "how long")
	quick := flag.Bool("quick", false, "twenty seconds")
	viewers := flag.Int("viewers", 50, "how many look at the page")
	most := flag.Int("goroutines", 3000, "how many at the height of a wave")
	hostile := flag.Int("hostile", 0, "how many clients attack the server")
	var limits limits
	flag.Int64Var(&limits.memory, "memory", 0, "MiB: a soft memory limit, as by GOMEMLIMIT, and a check of the resident memory; 0 is none")
	flag.Uint64Var(&limits.files, "files", 0, "limit on open descriptors; 0 leaves the system's")
	target := flag.String("attack", "", "be the hostile clients of this address, until standard input ends")
	flag.Parse()
	if *target != "" {
		attack(*target, *hostile)
		return
	}
	if *quick {
		*length, *hostile, limits.memory, limits.files = 20*time.Second, 40, 192, 320
	}
	dir, err := os.MkdirTemp("", "soak")
	if err == nil {
		err = soak(*length, &service{viewers: *viewers, most: *most, dir: dir, hostile: *hostile, limits: limits})
	}
	err = errors.Join(err, os.RemoveAll(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// soak runs the service, and returns everything that is wrong.
func soak(length time.Duration, s *service) error {
	server, err := newBackend()
	if err != nil {
		return err
	}
	provider := sdktrace.NewTracerProvider()
	otel.SetTracerProvider(provider)
	flaky, watch := &flaky{}, newWatch()
	a, err := agent.Start(
		agent.WithInterval(interval), agent.WithHostInterval(hostInterval), agent.WithListen("127.0.0.1:0"),
		agent.WithLogger(slog.New(slog.DiscardHandler)), agent.WithAccess(agent.Access{Token: token}),
		agent.WithFluentd(fluentd.Config{URL: "tcp://" + server.address, AckTimeout: 500 * time.Millisecond}),
		agent.WithSpool(spool.Config{Dir: filepath.Join(s.dir, "spool"), MaxBytes: 256 << 10}),
		agent.WithExporter("flaky", flaky),
		agent.WithExporter("watch", watch),
	)
	if err != nil {
		return err
	}
	s.agent, s.tracer, s.backend, s.flaky = a, provider.Tracer("soak"), server, flaky
	s.note(s.limits.set())
	for deadline := time.Now().Add(10 * time.Second); watch.ticks() < 2 && time.Now().Before(deadline); {
		time.Sleep(interval) // a scrape before the first snapshot gets none of its values
	}
	first := s.hold(length / 4)
	last := s.hold(length - length/4)
	fmt.Println("|  | after a quarter | at the end |\n| --- | --- | --- |")
	for i := range first.values {
		fmt.Printf("| %s | %s | %s |\n", names[i], first.values[i], last.values[i])
	}
	fmt.Printf("\n%d ticks; %d failures of the flaky exporter; latest tick %v late (99 of 100 at most %v); %d scrapes, %d rows of the page read, %d records at the server.\n",
		watch.ticks(), flaky.failures.Load(), watch.latest(), watch.late(0.99), s.scrapes.Load(), s.rows.Load(), server.records())
	fmt.Printf("%d requests of the service's own, the longest %v; %d connections of hostile clients, to which %d of %d viewers and scrapers had to give way; at most %d descriptors and %.0f MiB resident.\n",
		s.requests.Load(), time.Duration(s.longest.Load()).Round(time.Millisecond), s.attacks.Load(), s.displaced.Load(), s.visits.Load()+s.scrapes.Load(), s.peakFiles.Load(), float64(s.peakMemory.Load())/(1<<20))
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	err = errors.Join(s.errors(), flat(first, last), s.withstood(), watch.punctual(), a.Stop(ctx), balanced(a.Stats().Exporters, true), server.close())
	return errors.Join(err, left())
}
