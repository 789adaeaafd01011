// SPDX-License-Identifier: Apache-2.0

// Leaks runs the leak detector and the rules of other tools on leaking programs from
// the Go tree, on leaks of its own and on benign workloads. It prints a table in
// Markdown:
//
//	go -C benchmarks run ./leaks            about ten minutes on two cores
//	go -C benchmarks run ./leaks -quick     every eighth run, a minute
//	go -C benchmarks run ./leaks -only http the runs whose name matches
//
// Each workload runs in a process of its own, two at a time, or one at a time with
// -quick.
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
	quick := flag.Bool("quick", false, "every eighth run; exit status 1 if one fails")
	only := flag.String("only", "", "regular expression that the names of runs must match")
	workload := flag.String("run", "", "internal: run one workload in this process and print its result")
	verbose := flag.Bool("v", false, "print each failed run")
	asPeers := flag.Bool("peers", false, "internal: run the servers that the workloads call")
	flag.Parse()
	if *asPeers {
		fail(servePeers())
		return
	}
	if *workload != "" {
		fail(runWorkload(*workload))
		return
	}
	match, err := regexp.Compile(*only)
	fail(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "gmpulse-leaks-")
	fail(err)
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	t, err := measure(ctx, dir, match, *quick)
	fail(err)
	t.print(os.Stdout, *verbose)
	if *quick && !t.passed() {
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

// scaled returns the configuration of a run with time twenty times as fast: slots of
// 250 ms instead of 5 s.
func scaled() watch.Config {
	return watch.Config{Slot: 250 * time.Millisecond, Slots: 44, Grace: 2 * time.Second, MinGrowth: 5}
}

// runWorkload runs a kind or a benign workload in this process.
func runWorkload(name string) error {
	for _, k := range kinds() {
		if k.name == name {
			c := scaled()
			if k.wakesItself() {
				c.Slots = 128
			}
			return encode(watch.Run(name, c, leaking(k)))
		}
	}
	for _, b := range benigns() {
		if b.name == name {
			return encode(watch.Run(name, scaled(), func(s *watch.Service, stop <-chan struct{}) {
				start, length := time.Now(), scaled().Slot*time.Duration(scaled().Slots)
				b.run(s, stop, func() float64 { return min(1, time.Since(start).Seconds()/length.Seconds()) })
			}))
		}
	}
	return fmt.Errorf("no workload is named %q", name)
}

// rootOf returns the name of the root span that creates a kind's goroutines.
func rootOf(k kind) string { return "GET /" + k.mark }

// leaking runs a kind twenty times a second under its root span, together with
// harmless requests.
func leaking(k kind) func(s *watch.Service, stop <-chan struct{}) {
	return func(s *watch.Service, stop <-chan struct{}) {
		shared := newState()
		go poisson(stop, func() float64 { return 0 }, constant(100), func() {
			s.Root("GET /harmless", func() { <-time.After(20 * time.Millisecond) })
		})
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			go s.Root(rootOf(k), func() { k.f(shared) })
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
	kind    *kind // nil for a program of the corpus and for a benign workload
	benign  bool
	result  result
	err     error
}

// measure runs the workloads whose names match, with quick every eighth of them.
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
		workers = 1 // CI machines run other jobs
	}
	execute(ctx, chosen, workers)
	return &table{runs: chosen}, nil
}

// execute runs each workload in a child process, as many at a time as there are
// workers.
func execute(ctx context.Context, runs []*run, workers int) {
	queue := make(chan *run)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for r := range queue {
				r.result, r.err = runChild(ctx, r.program, r.args...)
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
