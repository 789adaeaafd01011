// SPDX-License-Identifier: Apache-2.0

// Exectrace measures the cost of execution traces: of a service while its flight
// recorder is on, of the analysis of a recording, and of a duty cycle at a steady load.
// It prints tables in Markdown.
//
//	go -C benchmarks run ./exectrace          two minutes
//	go -C benchmarks run ./exectrace -quick   a short run, a few seconds
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
)

// sizes determine how long the benchmark measures.
type sizes struct {
	effort   sidebyside.Effort
	requests int           // in the recording to analyse
	steady   time.Duration // length of the steady load
	repeats  int           // of the analysis
}

func main() {
	quick := flag.Bool("quick", false, "a short run")
	flag.Parse()
	s := sizes{effort: sidebyside.Effort{Rounds: 9, Slice: 700 * time.Millisecond}, requests: 20_000, steady: 2 * time.Second, repeats: 5}
	if *quick {
		s = sizes{effort: sidebyside.Effort{Rounds: 2, Slice: 50 * time.Millisecond}, requests: 1000, steady: 500 * time.Millisecond, repeats: 1}
	}
	fmt.Printf("%s, %s/%s, %d CPUs\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fail(measureRecording(s))
	fail(measureAnalysis(s))
	fail(measureDutyCycle(s))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "exectrace:", err)
		os.Exit(1)
	}
}
