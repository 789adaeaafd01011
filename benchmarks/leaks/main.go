// SPDX-License-Identifier: Apache-2.0

// Leaks measures the goroutine detective on leaks that nobody made for it and on
// ours, beside the rules of other tools, and prints a table in Markdown:
//
//	go -C benchmarks run ./leaks            about ten minutes on two cores
//	go -C benchmarks run ./leaks -quick     a thin sample, a minute
//	go -C benchmarks run ./leaks -only http the runs whose name matches
//
// Each workload runs in a process of its own, two at a time, one with -quick.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/benchmarks/leaks/watch"
)

type result = watch.Result

func main() {
	quick := flag.Bool("quick", false, "every eighth run only; exit status 1 if it falls short")
	only := flag.String("only", "", "a regular expression that names of runs must match")
	workload := flag.String("run", "", "run one workload in this process and print its result")
	verbose := flag.Bool("v", false, "print each run that fell short")
	asPeers := flag.Bool("peers", false, "be the servers that kinds call; the program runs itself so")
	flag.Parse()
	if *asPeers {
		fail(servePeers())
		return
	}
	if *workload != "" {
		fail(here(*workload))
		return
	}
	match, err := regexp.Compile(*only)
	fail(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "gmpulse-leaks-")
	fail(err)
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	t, err := measure(ctx, dir, match, *quick)
	fail(err)
	t.print(os.Stdout, *verbose)
	if *quick && !t.sound() {
		_ = os.RemoveAll(dir)
		os.Exit(1)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "leaks:", err)
		os.Exit(1)
	}
}

// Scaled time: slots of 250 ms instead of 5 s.
func scale() watch.Config {
	return watch.Config{Slot: 250 * time.Millisecond, Slots: 44, Grace: 2 * time.Second, MinGrowth: 5}
}

// here runs a kind or a benign workload in this process.
func here(name string) error {
	for _, k := range kinds() {
		if k.name == name {
			return encode(watch.Run(name, scale(), leaking(k)))
		}
	}
	for _, b := range benigns() {
		if b.name == name {
			return encode(watch.Run(name, scale(), func(s *watch.Service, stop <-chan struct{}) {
				start, whole := time.Now(), scale().Slot*time.Duration(scale().Slots)
				b.run(s, stop, func() float64 { return min(1, time.Since(start).Seconds()/whole.Seconds()) })
			}))
		}
	}
	return fmt.Errorf("there is no workload %q", name)
}

// rootOf is the span that a kind's goroutines are created under.
func rootOf(k kind) string { return "GET /" + k.mark }

// leaking runs a kind twenty times a second under its root span, beside requests
// that do no harm.
func leaking(k kind) func(s *watch.Service, stop <-chan struct{}) {
	return func(s *watch.Service, stop <-chan struct{}) {
		w := newWorld()
		go poisson(stop, func() float64 { return 0 }, constant(100), func() {
			s.Root("GET /harmless", func() { <-time.After(20 * time.Millisecond) })
		})
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			go s.Root(rootOf(k), func() { k.f(w) })
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}
}

func encode(r result, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// run is one workload to measure.
type run struct {
	name    string
	program string
	args    []string
	kind    *kind // of our own kinds
	benign  bool
	result  result
	err     error
}

// measure runs everything that matches, two at a time.
func measure(ctx context.Context, dir string, match *regexp.Regexp, quick bool) (*table, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	corpus, names, err := buildCorpus(ctx, dir)
	if err != nil {
		return nil, err
	}
	var all []*run
	for _, n := range names {
		all = append(all, &run{name: "corpus: " + n, program: corpus, args: []string{n}})
	}
	for _, k := range kinds() {
		all = append(all, &run{name: "kind: " + k.name, program: self, args: []string{"-run", k.name}, kind: &k})
	}
	for _, b := range benigns() {
		all = append(all, &run{name: "benign: " + b.name, program: self, args: []string{"-run", b.name}, benign: true})
	}
	chosen := all[:0]
	for i, r := range all {
		if match.MatchString(r.name) && (!quick || i%8 == 3) {
			chosen = append(chosen, r)
		}
	}
	workers := 2
	if quick {
		workers = 1 // the gate's machine is busy enough
	}
	work(ctx, chosen, workers)
	return &table{runs: chosen}, nil
}

func work(ctx context.Context, runs []*run, workers int) {
	queue := make(chan *run)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for r := range queue {
				r.result, r.err = child(ctx, r.program, r.args...)
				fmt.Fprintf(os.Stderr, "%-60s %s\n", r.name, r.summary())
			}
		})
	}
	for _, r := range runs {
		queue <- r
	}
	close(queue)
	wg.Wait()
}

func (r *run) summary() string {
	if r.err != nil {
		return r.err.Error()
	}
	var kinds []string
	for _, v := range r.result.Verdicts {
		kinds = append(kinds, v.Kind)
	}
	return fmt.Sprintf("%d groups left, peak %d, verdicts: %s", len(r.result.Truth), r.result.Peak, strings.Join(kinds, " "))
}
