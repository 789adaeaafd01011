// SPDX-License-Identifier: Apache-2.0

// Capacity compares gmpulse's estimate of how many requests a second a service can
// answer with a measurement:
//
//	go run ./examples/capacity          about 70 s
//	go run ./examples/capacity -quick   about 35 s, with a coarser ramp
//	go run ./examples/capacity -pool    about 30 s: a connection pool is the limit, not CPU
//
// The service is a child process with GOMAXPROCS=1, so that its CPU time does not
// include the CPU time of the load. The load rises to 60 % of the limit that the
// service reports. The program records the estimate of that moment, then sends as
// many requests as the service answers. It exits with status 0 if the estimate was
// within 15 % of the measurement, or with -quick at most 25 % too low.
//
// With -pool each request waits for one of four slow connections. All of them are busy
// while most of the CPU is idle. The program exits with status 0 if the service then
// reports the state "waiting" and no limit.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	quick := flag.Bool("quick", false, "a shorter run")
	pool := flag.Bool("pool", false, "requests wait for a connection pool that is too small")
	serving := flag.Bool("serve", false, "internal: run the service")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if *serving {
		exit(serve(ctx, *pool))
		return
	}
	p := plan{learn: 35 * time.Second, settle: 3 * time.Second, saturate: 15 * time.Second, tooLow: tolerance}
	switch {
	case *pool:
		p = plan{learn: 15 * time.Second, pool: true}
	case *quick:
		p = plan{learn: 15 * time.Second, settle: 2 * time.Second, saturate: 8 * time.Second, tooLow: quickTolerance}
	}
	right, err := p.run(ctx)
	exit(err)
	if !right {
		os.Exit(1)
	}
}

func exit(err error) {
	if err != nil {
		slog.Error("capacity", slog.Any("error", err))
		os.Exit(1)
	}
}

const (
	// rampFrom and rampTo are the saturations at the ends of the ramp.
	rampFrom, rampTo = 0.2, 0.6
	// tolerance is the largest accepted relative error of the estimate.
	tolerance = 0.15
	// quickTolerance is the same for an estimate that is too low after a short run. On a
	// shared machine the same request takes a fifth more CPU time at some seconds than
	// at others, and a service that idles between requests finds its caches cold.
	quickTolerance = 0.25
)

// plan has the durations of the ramp (learn), of the wait under full load (settle) and
// of the measurement (saturate), and how much too low the estimate may be.
type plan struct {
	learn, settle, saturate time.Duration
	tooLow                  float64
	pool                    bool
}

// run reports whether the estimate is right.
func (p *plan) run(ctx context.Context) (right bool, err error) {
	s, err := startService(ctx, p.pool)
	if err != nil {
		return false, err
	}
	defer s.stop()
	load := newLoad(s.url) //nolint:contextcheck // stop ends its goroutines
	defer load.stop()

	fmt.Printf("service  %s  GOMAXPROCS=1\nmetrics  %s\n\n", s.url, s.metrics)
	fmt.Printf("%10s  %10s  %8s  %12s  %10s  %8s  %s\n", "load", "saturation", "CPU/req", "limit", "headroom", "confid.", "state")
	estimate, err := p.ramp(ctx, s, load)
	if err != nil {
		return false, err
	}
	if p.pool {
		return reportsWaiting(&estimate), nil
	}
	if estimate.state != "known" {
		return false, fmt.Errorf("no estimate after the ramp: %s", estimate.state)
	}
	measured, err := p.saturateService(ctx, s, load)
	if err != nil {
		return false, err
	}
	return p.compare(&estimate, &measured), nil
}

// ramp raises the load to rampTo of the limit that the service reports, or until it
// reports the state "waiting", and returns the metrics of that moment. The saturation
// does not end the ramp: it varies by a quarter from second to second, so that the ramp
// would end in a second in which requests were expensive.
func (p *plan) ramp(ctx context.Context, s *service, load *load) (last capacityMetrics, err error) {
	rate := 20.0
	steps := p.learn.Seconds()
	var step float64 // increase of the rate each second; 0 below a saturation of rampFrom
	for range 4 * int(steps) {
		load.setRate(rate)
		if last, err = s.observe(ctx, time.Second); err != nil {
			return last, err
		}
		last.print(rate)
		switch {
		case last.state == "known" && step > 0 && rate >= rampTo*last.limit, last.state == "waiting":
			return last, nil
		case step > 0:
			rate += step
		case last.saturation >= rampFrom:
			step = rate * (rampTo/rampFrom - 1) / steps
		default:
			rate *= 1.2
		}
	}
	return last, fmt.Errorf("a load of %.0f requests/s is less than %.0f %% of the limit", rate, 100*rampTo)
}

// reportsWaiting reports whether the service noticed that CPU is not its limit.
func reportsWaiting(m *capacityMetrics) bool {
	if m.state != "waiting" || m.limit != 0 {
		fmt.Printf("\nthe pool is exhausted, but the service does not report it\n")
		return false
	}
	fmt.Printf("\nrequests queue while only %.0f %% of the CPU is used: the service reports no limit\n", 100*m.saturation)
	return true
}

// measurement is the result of saturateService.
type measurement struct {
	rate float64 // requests answered per second
	cpu  float64 // CPU seconds per second that the service got
}

// saturateService sends as many requests as the service answers, and measures.
func (p *plan) saturateService(ctx context.Context, s *service, load *load) (m measurement, err error) {
	fmt.Printf("\nnow as many requests as the service answers, for %v\n", p.saturate)
	load.setRate(math.Inf(1))
	if _, err := s.observe(ctx, p.settle); err != nil {
		return m, err
	}
	from, begin, answered := time.Now(), s.last, load.answered.Load()
	end, err := s.observe(ctx, p.saturate)
	if err != nil {
		return m, err
	}
	seconds := time.Since(from).Seconds()
	m.rate = float64(load.answered.Load()-answered) / seconds
	m.cpu = (end.cpu - begin.cpu) / seconds
	end.print(m.rate)
	if failed := load.failed.Load(); failed > 0 {
		return m, fmt.Errorf("%d requests failed: %w", failed, load.err())
	}
	return m, nil
}

// compare prints estimate and measurement, and reports whether they agree. It judges
// the limits for one whole CPU, because other processes may take a part of the CPU
// during the ramp or during the measurement.
func (p *plan) compare(estimate *capacityMetrics, m *measurement) (right bool) {
	measured := m.rate / m.cpu
	estimated := (1 - estimate.background) / estimate.cost
	off := estimated/measured - 1
	fmt.Printf("\n%-28s %10s  %10s  %8s\n", "", "estimated", "measured", "error")
	fmt.Printf("%-28s %8.0f/s  %8.0f/s  %+6.1f %%   estimated at a saturation of %.0f %%, with a confidence of %.0f %%\n", "limit, one whole CPU",
		estimated, measured, 100*off, 100*estimate.saturation, 100*estimate.confidence)
	fmt.Printf("%-28s %8.0f/s  %8.0f/s  %+6.1f %%   as exported, and as answered with %.2f CPUs\n", "limit, CPU shared",
		estimate.limit, m.rate, 100*(estimate.limit/m.rate-1), m.cpu)
	if off > tolerance || off < -p.tooLow {
		fmt.Printf("the error of the estimate is not between %.0f and %+.0f %%\n", -100*p.tooLow, 100*tolerance)
		return false
	}
	return true
}
