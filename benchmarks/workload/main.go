// SPDX-License-Identifier: Apache-2.0

// Command workload evaluates the baselines and the rules of other tools on a Go service
// with faults and promotions. It prints which rule detected which fault after what
// time, and the false alarms of each.
//
//	go -C benchmarks run ./workload              # five seeds, forty minutes
//	go -C benchmarks run ./workload -quick       # one seed, the fast faults; exit status 1 if a result is not as wanted
//	go -C benchmarks run ./workload -soak 24h    # no faults
//	go -C benchmarks run ./workload -record DIR  # keeps every snapshot, a file of a few MB for each seed
//	go -C benchmarks run ./workload -replay DIR  # evaluates a recording again, in seconds
//
// Time is scaled: a tick of 50 ms stands for a second.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	seeds := flag.Int("seeds", 5, "number of runs, each with another seed of the random numbers")
	first := flag.Uint64("seed", 1, "the first seed")
	scale := flag.Int("scale", 20, "how many scaled seconds there are in a second")
	quick := flag.Bool("quick", false, "one seed and the fast faults; exit status 1 if a result is not as wanted")
	soak := flag.Duration("soak", 0, "run this long, in scaled time, without a fault")
	verbose := flag.Bool("v", false, "print every alert")
	record := flag.String("record", "", "directory to write recordings to")
	replay := flag.String("replay", "", "directory of recordings to evaluate instead of a live service")
	stalled := flag.Int("stall", 0, "internal: id of the process to stall")
	period := flag.Duration("period", 0, "internal: time between two stalls")
	flag.Parse()
	if *stalled != 0 {
		stall(*stalled, *period)
		return
	}

	o := &options{tick: time.Second / time.Duration(*scale), learning: 1800, recovery: 300, verbose: *verbose, record: *record, replay: *replay}
	phases := allPhases(o.tick)
	switch {
	case *soak > 0:
		phases, *seeds = []phase{clean(*soak)}, 1
	case *quick:
		phases, *seeds = fastFaults(o.tick), 1
		o.learning, o.recovery = 600, 90
	}
	var all []*outcome
	for i := range *seeds {
		began, seed := time.Now(), *first+uint64(i)
		out, err := runSeed(o, seed, phases)
		if err != nil {
			fmt.Fprintf(os.Stderr, "seed %d: %v\n", seed, err)
			os.Exit(1)
		}
		all = append(all, out)
		fmt.Fprintf(os.Stderr, "seed %d: %v\n", seed, time.Since(began).Round(time.Second))
	}
	report(os.Stdout, o, phases, all)
	if *quick && !passed(os.Stderr, phases, all) {
		os.Exit(1)
	}
}

// runSeed runs the phases with a live service or with the recording of a seed.
func runSeed(o *options, seed uint64, phases []phase) (out *outcome, err error) {
	if o.replay != "" {
		from, err := openRecording(recordingPath(o.replay, seed))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, from.close()) }()
		return run(o, seed, phases, from)
	}
	var to *recorder
	if o.record != "" {
		if to, err = newRecorder(recordingPath(o.record, seed)); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, to.close()) }()
	}
	from := newLive(o.tick, seed, to)
	defer from.stop()
	return run(o, seed, phases, from)
}
