// SPDX-License-Identifier: Apache-2.0

// Soak runs a service with all features of gmpulse. It samples fifty times a second
// instead of once, so that ten minutes have as many ticks as eight hours.
//
//	go -C benchmarks run ./soak -for 10m
//	go -C benchmarks run ./soak -for 30m -hostile 96 -viewers 20 -memory 128 -files 256
//	go -C benchmarks run ./soak -quick     twenty seconds, with 60 hostile clients: what CI runs
//
// Thousands of goroutines start and end under spans, one exporter fails in four ways,
// another one receives summaries of ten ticks, the Fluentd server stops and comes back,
// viewers read the page and scrapers the metrics. The profiler runs, bundles of evidence are
// created, and the baselines have a state file. After a quarter of the time and at the
// end the load pauses, and the program compares heap, goroutines, descriptors and disk.
// Every second the accepted records of each exporter must equal its delivered, dropped and
// pending ones. The summaries together must cover every tick.
//
// -hostile adds as many hostile clients in a second process: two fifths of them have the
// token and read only the first bytes of the answers, and half of those pipeline requests;
// the others pipeline requests without the token, send headers slowly, or have no token.
// Each kind must be served or refused as intended. -files sets a limit on open descriptors.
// -memory moves the process into a control group with this limit, whose memory
// controller kills the process if it needs more, and sets nine tenths of it as GOMEMLIMIT.
// It needs root; without a group the program logs this and checks the resident memory
// itself. The service must continue to answer requests, viewers and scrapers within both
// limits.
//
// The exit status is 1 if any of these checks fails.
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
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

const (
	interval     = 20 * time.Millisecond
	hostInterval = 200 * time.Millisecond

	maxEvidence = 16 << 20
	maxProfiles = 4 << 20
)

func main() {
	length := flag.Duration("for", 10*time.Minute, "duration of the run")
	quick := flag.Bool("quick", false, "twenty seconds, with hostile clients and limits")
	viewers := flag.Int("viewers", 50, "number of viewers of the page")
	most := flag.Int("goroutines", 3000, "maximum number of goroutines of requests")
	hostile := flag.Int("hostile", 0, "number of hostile clients")
	var limits limits
	flag.Int64Var(&limits.memory, "memory", 0, "limit of the memory in MiB, by a control group if possible; 0 for none")
	flag.Uint64Var(&limits.files, "files", 0, "limit on open descriptors; 0 for the system's limit")
	target := flag.String("attack", "", "internal: run the hostile clients of this address until standard input ends")
	flag.StringVar(&limits.group, "group", "", "internal: the directory of the control group to join")
	flag.StringVar(&limits.origin, "leave", "", "internal: the cgroup.procs of the control group for hostile clients")
	flag.Parse()
	if *target != "" {
		if limits.origin != "" {
			exitOn(join(limits.origin))
		}
		attack(*target, *hostile)
		return
	}
	if *quick {
		*length, *hostile, *viewers, limits.memory, limits.files = 20*time.Second, 60, 15, 128, 256
	}
	if limits.memory > 0 && limits.group == "" {
		g, err := newGroup(limits.memory << 20)
		if err == nil {
			exitOn(runInGroup(g))
			return
		}
		fmt.Println("There is no control group:", err)
	}
	dir, err := os.MkdirTemp("", "soak")
	if err == nil {
		s := &service{viewers: *viewers, most: *most, dir: filepath.Join(dir, "queue"), kept: filepath.Join(dir, "kept"), hostile: *hostile, limits: limits}
		err = errors.Join(os.Mkdir(s.dir, 0o700), os.Mkdir(s.kept, 0o700))
		if err == nil {
			err = soak(*length, s)
		}
	}
	err = errors.Join(err, os.RemoveAll(dir))
	exitOn(err)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// soak runs the service and returns the failed checks.
func soak(length time.Duration, s *service) error {
	if err := s.limits.set(); err != nil {
		return err
	}
	server, err := newBackend()
	if err != nil {
		return err
	}
	provider := sdktrace.NewTracerProvider()
	otel.SetTracerProvider(provider)
	flaky, watch, paced := &flaky{}, newWatch(), &paced{}
	a, err := agent.Start(
		agent.WithInterval(interval), agent.WithHostInterval(hostInterval), agent.WithListen("127.0.0.1:0"),
		agent.WithLogger(slog.New(slog.DiscardHandler)), agent.WithAccess(agent.Access{Token: token}),
		agent.WithFluentd(fluentd.Config{URL: "tcp://" + server.address, AckTimeout: 500 * time.Millisecond}, engine.EveryTick()),
		agent.WithSpool(spool.Config{Dir: filepath.Join(s.dir, "spool"), MaxBytes: 256 << 10}),
		agent.WithBaselines(&baseline.Config{StateFile: filepath.Join(s.kept, "state")}),
		agent.WithEvidence(&evidence.Config{Dir: filepath.Join(s.kept, "evidence"), MaxBytes: maxEvidence, ProfileFor: 500 * time.Millisecond}),
		agent.WithProfiler(&profiler.Config{For: 200 * time.Millisecond, Every: 5 * time.Second, MaxBytes: maxProfiles}),
		agent.WithExporter("flaky", flaky, engine.EveryTick()),
		agent.WithExporter("watch", watch, engine.EveryTick()),
		agent.WithExporter("paced", paced, engine.Every(10*interval)), // ten ticks, as by default
	)
	if err != nil {
		return err
	}
	s.agent, s.tracer, s.backend, s.flaky = a, provider.Tracer("soak"), server, flaky
	for deadline := time.Now().Add(10 * time.Second); watch.ticks() < 2 && time.Now().Before(deadline); {
		time.Sleep(interval) // a scrape before the first snapshot has no values
	}
	first := s.run(length / 4)
	last := s.run(length - length/4)
	fmt.Println("|  | after a quarter | at the end |\n| --- | --- | --- |")
	for i := range first.values {
		fmt.Printf("| %s | %s | %s |\n", resources[i], first.values[i], last.values[i])
	}
	fmt.Printf("\n%d ticks; %d failures of the flaky exporter; largest delay of a tick %v (99 %% of them at most %v); %d scrapes, %d rows of the page read, %d records received by the server.\n",
		watch.ticks(), flaky.failures.Load(), watch.maxLateness(), watch.lateness(0.99), s.scrapes.Load(), s.rows.Load(), server.records())
	fmt.Printf("%d requests of the service, the longest took %v; %d of %d connections of viewers and scrapers closed in favour of other clients; %d bundles of evidence, %d refused for lack of memory; at most %d descriptors and %.0f MiB resident.\n",
		s.requests.Load(), time.Duration(s.longest.Load()).Round(time.Millisecond), s.displaced.Load(), s.visits.Load()+s.scrapes.Load(), s.captures.Load(), s.refused.Load(), s.peakFiles.Load(), float64(s.peakMemory.Load())/(1<<20))
	if s.hostile > 0 {
		fmt.Printf("Connections of hostile clients that were served or refused as intended: %v.\n", &s.attacks)
	}
	if s.limits.group != "" {
		fmt.Println(groupUse(s.limits.group))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	err = errors.Join(s.errors(), checkGrowth(first, last, length), s.checkLimits(), watch.checkLateness(), a.Stop(ctx), checkCounts(a.Stats().Exporters, true), paced.check(a.Stats().Ticks), server.close(), s.checkKept())
	return errors.Join(err, checkLeaks())
}
