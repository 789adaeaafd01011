// Command workload lets the baselines watch a real Go service through trouble and
// promotions, beside the rules that other tools use, and says who found what, when,
// and who cried wolf.
//
//	go -C benchmarks run ./workload              # five seeds, forty minutes
//	go -C benchmarks run ./workload -quick       # one seed, the fast troubles; exit status 1 if it falls short
//	go -C benchmarks run ./workload -soak 24h    # nothing but clean time
//
// Time is scaled: a tick of 50 ms stands for a second.
package main

import (
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
	flag.Parse()

	o := &options{tick: time.Second / time.Duration(*scale), learning: 1800, rest: 300, verbose: *verbose}
	phases := everything()
	switch {
	case *soak > 0:
		phases, *seeds = []phase{clean(*soak)}, 1
	case *quick:
		phases, *seeds = thinSample(), 1
		o.learning, o.rest = 600, 90
	}
	var all []*outcome
	for i := range *seeds {
		began := time.Now()
		all = append(all, run(o, *first+uint64(i), phases))
		fmt.Fprintf(os.Stderr, "seed %d: %v\n", *first+uint64(i), time.Since(began).Round(time.Second))
	}
	report(os.Stdout, o, phases, all)
	if *quick && fallsShort(os.Stderr, phases, all) {
		os.Exit(1)
	}
}
