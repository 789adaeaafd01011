// SPDX-License-Identifier: Apache-2.0

// Command regression measures how often "gmpulse compare -gate" finds a planted CPU regression, and how
// often it reports a regression of two equal versions:
//
//	go -C benchmarks run ./regression                  # 3 times with and 3 times without, 2 minutes of load on each side
//	go -C benchmarks run ./regression -n 20            # the rates; 2 h 45 min
//	go -C benchmarks run ./regression -quick           # 20 s of load on each side
//	go -C benchmarks run ./regression -together        # both versions at the same time, as for a canary: half the time
//
// It does what a pipeline does: it starts a service, sends requests, runs "gmpulse record" meanwhile, does
// the same with the new version, and compares the recordings. The service is a process of its own. The planted
// regression is 10 % more work in the handlers, which use nearly all of the CPU time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	var c config
	flag.IntVar(&c.repetitions, "n", 3, "number of comparisons with and without a regression")
	flag.DurationVar(&c.length, "for", 2*time.Minute, "time of the load on each side")
	flag.DurationVar(&c.warmup, "warmup", 30*time.Second, "see gmpulse compare")
	flag.Float64Var(&c.more, "more", 0.1, "additional work of the planted regression")
	flag.Float64Var(&c.rate, "rate", 40, "requests per second")
	flag.BoolVar(&c.together, "together", false, "run both versions at the same time")
	flag.StringVar(&c.keep, "keep", "", "directory that keeps the recordings")
	flag.BoolVar(&c.verbose, "v", false, "print every comparison")
	quick := flag.Bool("quick", false, "20 s of load on each side")
	work := flag.Float64("serve", 0, "internal: run the service with so much work")
	flag.Parse()
	if *work > 0 {
		if err := serve(*work); err != nil {
			fmt.Fprintln(os.Stderr, "regression: service:", err)
			os.Exit(1)
		}
		return
	}
	if *quick {
		c.length, c.warmup = 20*time.Second, 3*time.Second
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	wrong, err := run(ctx, c)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "regression:", err)
		os.Exit(1)
	}
	if wrong > 0 {
		os.Exit(1)
	}
}

type config struct {
	repetitions int
	length      time.Duration
	warmup      time.Duration
	more, rate  float64
	together    bool
	keep        string
	verbose     bool
}

// run makes all comparisons in turn and returns the number of wrong results.
func run(ctx context.Context, c config) (wrong int, err error) {
	dir := c.keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "gmpulse-regression-"); err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
	}
	command := filepath.Join(dir, "gmpulse")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", command, "github.com/gmpulse/gmpulse/cmd/gmpulse").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build gmpulse: %w\n%s", err, out)
	}
	b := &bench{config: c, dir: dir, command: command}
	var found, alarms int
	for i := range c.repetitions {
		for _, more := range []float64{c.more, 0} {
			regression, err := b.compare(ctx, fmt.Sprintf("%02d-%g", i+1, more), more)
			if err != nil {
				return 0, err
			}
			switch {
			case regression && more > 0:
				found++
			case regression:
				alarms++
			}
		}
	}
	fmt.Printf("\nregression of %.0f %% found in %d of %d comparisons; false alarms in %d of %d\n", 100*c.more, found, c.repetitions, alarms, c.repetitions)
	return c.repetitions - found + alarms, nil
}

// bench compares two versions of the service.
type bench struct {
	config
	dir, command string
}

// compare runs both versions and reports whether gmpulse has found that the CPU time of a request rose, and any
// other regression.
func (b *bench) compare(ctx context.Context, name string, more float64) (regression bool, err error) {
	before, after := filepath.Join(b.dir, name+"-before.jsonl"), filepath.Join(b.dir, name+"-after.jsonl")
	if b.together {
		errs := make(chan error, 2)
		go func() { errs <- b.record(ctx, 1, before, 0) }()
		go func() { errs <- b.record(ctx, 1+more, after, apart) }()
		err = errors.Join(<-errs, <-errs)
	} else {
		err = b.record(ctx, 1, before, 0)
		if err == nil {
			err = b.record(ctx, 1+more, after, 0)
		}
	}
	if err != nil {
		return false, err
	}
	args := []string{"compare", before, after, "-gate", "-warmup", b.warmup.String()}
	r, err := reportOf(ctx, b.command, args)
	if err != nil {
		return false, err
	}
	fmt.Printf("%s  +%.0f %% work  %s\n", time.Now().UTC().Format("15:04:05"), 100*more, r)
	if b.verbose {
		out, _ := exec.CommandContext(ctx, b.command, args...).Output() // the status is known
		fmt.Printf("%s\n", out)
	}
	if more > 0 {
		return r.cpu, nil
	}
	return r.failed, nil
}

// apart is the time between a request to one version and the same request to the other. Without it, one of
// both would always come a moment before the other, find a sleeping processor, and cost 1.5 % more.
const apart = 500 * time.Millisecond

// record runs one version under load and records it. The load begins after a delay.
func (b *bench) record(ctx context.Context, work float64, file string, delay time.Duration) error {
	s, err := start(ctx, work)
	if err != nil {
		return err
	}
	defer s.stop()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	time.Sleep(delay)
	l := startLoad(ctx, s.address, b.rate)
	cmd := exec.CommandContext(ctx, b.command, "record", "-for", b.length.String(), s.page)
	cmd.Stdout = out
	diagnostics, errRecord := cmd.StderrPipe()
	if errRecord == nil {
		if errRecord = cmd.Start(); errRecord == nil {
			errRecord = wait(cmd, diagnostics)
		}
	}
	return errors.Join(errRecord, l.stop())
}
