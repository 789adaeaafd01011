// SPDX-License-Identifier: Apache-2.0

// Capacity lets gmpulse foretell at how many requests a second a service is at
// its end, and then drives it there to see:
//
//	go run ./examples/capacity          about 70 s
//	go run ./examples/capacity -quick   about 35 s, with a coarser ramp
//	go run ./examples/capacity -pool    about 30 s: the limit is a pool, and not CPU
//
// The service is a process of its own with one processor (GOMAXPROCS=1), so that
// its CPU time is its own and the load's is not. The load rises until the service
// says that 60 % of its CPU are used; then the estimate is written down, and the
// load rises without end. Status 0 if the estimate was within 15 % of the truth.
//
// With -pool each request waits for one of four connections to something slow. They
// are all busy while most of the CPU is free. Status 0 if the service then says so
// and has no limit to offer.
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
	pool := flag.Bool("pool", false, "let requests wait for a pool that is too small")
	serving := flag.Bool("serve", false, "be the service; the example starts it by itself")
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
	p := plan{learn: 35 * time.Second, settle: 3 * time.Second, saturate: 15 * time.Second}
	switch {
	case *pool:
		p = plan{learn: 15 * time.Second, pool: true}
	case *quick:
		p = plan{learn: 15 * time.Second, settle: 2 * time.Second, saturate: 8 * time.Second}
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
	// The ramp goes from one saturation to the other.
	rampFrom, rampTo = 0.2, 0.6
	// tolerance is how far off an estimate may be.
	tolerance = 0.15
)

// plan says how long each part takes.
type plan struct {
	learn, settle, saturate time.Duration
	pool                    bool
}

// run compares estimate and truth.
func (p *plan) run(ctx context.Context) (right bool, err error) {
	s, err := start(ctx, p.pool)
	if err != nil {
		return false, err
	}
	defer s.stop()
	load := newLoad(s.url) //nolint:contextcheck // stop ends it
	defer load.stop()

	fmt.Printf("service  %s  GOMAXPROCS=1\nmetrics  %s\n\n", s.url, s.metrics)
	fmt.Printf("%10s  %10s  %8s  %12s  %10s  %8s  %s\n", "load", "saturation", "CPU/req", "limit", "headroom", "sure", "state")
	before, err := p.ramp(ctx, s, load)
	if err != nil {
		return false, err
	}
	if p.pool {
		return queues(&before), nil
	}
	if before.state != "known" {
		return false, fmt.Errorf("no estimate after the ramp: %s", before.state)
	}
	truth, err := p.exhaust(ctx, s, load)
	if err != nil {
		return false, err
	}
	return compare(&before, &truth), nil
}

// ramp raises the load until the service says that it is at rampTo, and returns
// the estimate of that moment; or until it says that the limit is not CPU.
func (p *plan) ramp(ctx context.Context, s *service, load *load) (last page, err error) {
	rate := 20.0
	steps := p.learn.Seconds()
	var step float64 // requests per second each second, once the beginning of the ramp is found
	for range 4 * int(steps) {
		load.set(rate)
		if last, err = s.observe(ctx, time.Second); err != nil {
			return last, err
		}
		last.print(rate)
		switch {
		case last.saturation >= rampTo && last.state == "known" && step > 0, last.state == "waiting":
			return last, nil
		case step > 0:
			rate += step
		case last.saturation >= rampFrom:
			step = rate * (rampTo/rampFrom - 1) / steps
		default:
			rate *= 1.2
		}
	}
	return last, fmt.Errorf("the load of %.0f requests/s does not bring the service to %.0f %%", rate, 100*rampTo)
}

// queues tells whether the service noticed that its limit is not CPU.
func queues(p *page) bool {
	if p.state != "waiting" || p.limit != 0 {
		fmt.Printf("\nthe pool is exhausted, and the service did not notice\n")
		return false
	}
	fmt.Printf("\nrequests queue for something other than CPU, of which %.0f %% is used: no limit is given\n", 100*p.saturation)
	return true
}

// truth is what the service did at its end.
type truth struct {
	rate float64 // requests answered per second
	cpu  float64 // CPU seconds per second that it got
}

// exhaust sends as many requests as are answered, and counts them.
func (p *plan) exhaust(ctx context.Context, s *service, load *load) (t truth, err error) {
	fmt.Printf("\nnow as many requests as are answered, for %v\n", p.saturate)
	load.set(math.Inf(1))
	if _, err := s.observe(ctx, p.settle); err != nil {
		return t, err
	}
	from, begin, answered := time.Now(), s.last, load.answered.Load()
	end, err := s.observe(ctx, p.saturate)
	if err != nil {
		return t, err
	}
	seconds := time.Since(from).Seconds()
	t.rate = float64(load.answered.Load()-answered) / seconds
	t.cpu = (end.cpu - begin.cpu) / seconds
	end.print(t.rate)
	if failed := load.failed.Load(); failed > 0 {
		return t, fmt.Errorf("%d requests failed: %w", failed, load.err())
	}
	return t, nil
}

// compare prints estimate against truth. What is compared is the limit of a whole
// CPU: if neighbours took some of it, at the ramp or at the end, neither side
// shall win or lose by that.
func compare(estimate *page, t *truth) (right bool) {
	whole := t.rate / t.cpu
	foretold := (1 - estimate.background) / estimate.cost
	off := foretold/whole - 1
	fmt.Printf("\n%-28s %10s  %10s  %8s\n", "", "estimate", "truth", "error")
	fmt.Printf("%-28s %8.0f/s  %8.0f/s  %+6.1f %%   estimated at %.0f %% of it, sure to %.0f %%\n", "limit, one whole CPU",
		foretold, whole, 100*off, 100*estimate.saturation, 100*estimate.confidence)
	fmt.Printf("%-28s %8.0f/s  %8.0f/s  %+6.1f %%   as published, and as answered with %.2f CPUs\n", "limit, beside the neighbours",
		estimate.limit, t.rate, 100*(estimate.limit/t.rate-1), t.cpu)
	if math.Abs(off) > tolerance {
		fmt.Printf("the estimate is more than %.0f %% off\n", 100*tolerance)
		return false
	}
	return true
}
