// SPDX-License-Identifier: Apache-2.0

// Command workload lets the baselines watch a real Go service through trouble and
// promotions, beside the rules that other tools use, and says who found what, when,
// and who cried wolf.
//
//	go -C benchmarks run ./workload              # five seeds, forty minutes
//	go -C benchmarks run ./workload -quick       # one seed, the fast troubles; exit status 1 if it falls short
//	go -C benchmarks run ./workload -soak 24h    # nothing but clean time
//	go -C benchmarks run ./workload -record DIR  # keeps what was seen, a file of some MB a seed
//	go -C benchmarks run ./workload -replay DIR  # judges it again, in seconds
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
	seeds := flag.Int("seeds", 5, "runs, each with other random numbers")
	first := flag.Uint64("seed", 1, "the first of them")
	scale := flag.Int("scale", 20, "how much faster than real time")
	quick := flag.Bool("quick", false, "one seed, the fast troubles only; fail when it falls short")
	soak := flag.Duration("soak", 0, "only clean time, so long by the scaled clock")
	verbose := flag.Bool("v", false, "print every alert")
	record := flag.String("record", "", "a directory to keep what was seen in")
	replay := flag.String("replay", "", "a directory of recordings to judge instead of a live service")
	victim := flag.Int("steal", 0, "internal: the process to stop time and again")
	period := flag.Duration("period", 0, "internal: how often")
	flag.Parse()
	if *victim != 0 {
		steal(*victim, *period)
		return
	}

	o := &options{tick: time.Second / time.Duration(*scale), learning: 1800, rest: 300, verbose: *verbose, record: *record, replay: *replay}
	phases := everything(o.tick)
	switch {
	case *soak > 0:
		phases, *seeds = []phase{clean(*soak)}, 1
	case *quick:
		phases, *seeds = thinSample(o.tick), 1
		o.learning, o.rest = 600, 90
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
	if *quick && fallsShort(os.Stderr, phases, all) {
		os.Exit(1)
	}
}

// runSeed lives through the phases, or reads the recording of that.
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
