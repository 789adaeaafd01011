// SPDX-License-Identifier: Apache-2.0

// Exectrace measures what execution traces cost: a service while its flight recorder
// is on, the analysis of a recording, and the two at a steady load on duty. Tables in
// Markdown.
//
//	go -C benchmarks run ./exectrace          two minutes
//	go -C benchmarks run ./exectrace -quick   a thin sample, a few seconds
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
)

// sizes is how much is measured.
type sizes struct {
	effort   sidebyside.Effort
	requests int           // that are recorded and analysed
	steady   time.Duration // of the steady load
	repeats  int
}

func main() {
	quick := flag.Bool("quick", false, "a thin sample")
	flag.Parse()
	s := sizes{effort: sidebyside.Effort{Rounds: 9, Slice: 700 * time.Millisecond}, requests: 20_000, steady: 2 * time.Second, repeats: 5}
	if *quick {
		s = sizes{effort: sidebyside.Effort{Rounds: 2, Slice: 50 * time.Millisecond}, requests: 1000, steady: 500 * time.Millisecond, repeats: 1}
	}
	fmt.Printf("%s, %s/%s, %d CPUs\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fail(recording(s))
	fail(reading(s))
	fail(duty(s))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "exectrace:", err)
		os.Exit(1)
	}
}
