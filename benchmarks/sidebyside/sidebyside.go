// SPDX-License-Identifier: Apache-2.0

// Package sidebyside compares the cost of operations on a machine with other jobs.
//
// Cases take turns in slices of a few milliseconds, so that other jobs affect each of
// them alike. The package measures CPU time of the process, not wall-clock time. A
// ratio is the median over rounds of the ratio to the reference case in the same
// round. It is more reliable than the absolute times.
package sidebyside

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Case is one operation to measure.
type Case struct {
	Name string
	// Run performs n operations and returns when all of them are done.
	Run func(n int)
	// Before and After are called around each slice and are not measured. They may
	// be nil.
	Before, After func()
	// Ticks returns the number of background operations so far. It may be nil.
	Ticks func() uint64
}

// Op returns a case whose operation is a call of f.
func Op(name string, f func()) Case {
	return Case{Name: name, Run: func(n int) {
		for range n {
			f()
		}
	}}
}

// Must returns a case whose operation is a call of f. It panics if f returns an error.
func Must(name string, f func() error) Case {
	return Op(name, func() {
		if err := f(); err != nil {
			panic(name + ": " + err.Error())
		}
	})
}

// Result is the cost of one operation of a case.
type Result struct {
	Name      string
	CPU       float64 // nanoseconds, median over slices
	Quiet     float64 // nanoseconds, first decile over slices
	More      float64 // nanoseconds in addition to the first case, median over rounds
	Ratio     float64 // to the first case, median over rounds
	Low, High float64 // quartiles of the ratio
	Bytes     float64 // allocated
	Allocs    float64
}

// Effort determines how long to measure.
type Effort struct {
	Rounds int
	Slice  time.Duration
}

// Turns measures cases in turn. The first case is the reference.
func Turns(e Effort, cases []Case) []Result {
	runs := make([]*run, len(cases))
	for i := range cases {
		runs[i] = calibrate(&cases[i], e.Slice)
	}
	order := slices.Clone(runs)
	for range e.Rounds {
		// In random order, so that a case does not always find the caches as the same
		// other case left them.
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, r := range order {
			r.cpu = append(r.cpu, r.slice())
		}
	}
	results := make([]Result, len(runs))
	for i, r := range runs {
		ratios, more := make([]float64, len(r.cpu)), make([]float64, len(r.cpu))
		for k := range ratios {
			ratios[k], more[k] = r.cpu[k]/runs[0].cpu[k], r.cpu[k]-runs[0].cpu[k]
		}
		results[i] = Result{
			Name: r.c.Name, CPU: Quantile(r.cpu, 0.5), Quiet: Quantile(r.cpu, 0.1), More: Quantile(more, 0.5),
			Ratio: Quantile(ratios, 0.5), Low: Quantile(ratios, 0.25), High: Quantile(ratios, 0.75),
			Bytes: r.bytes, Allocs: r.allocs,
		}
	}
	return results
}

// run is a case with the number of operations in a slice.
type run struct {
	c             *Case
	n             int
	cpu           []float64 // nanoseconds per operation, by round
	bytes, allocs float64   // of the last slice, per operation
}

func calibrate(c *Case, slice time.Duration) *run {
	r := &run{c: c, n: 1}
	const most = 1 << 24
	for r.n < most {
		took := r.slice() * float64(r.n)
		if took > float64(slice)/2 {
			r.n = max(1, int(float64(r.n)*float64(slice)/took))
			break
		}
		r.n *= 2
	}
	r.slice()
	return r
}

// slice runs one slice and returns the CPU time of one operation in nanoseconds. It sets
// bytes and allocs.
func (r *run) slice() float64 {
	if r.c.Before != nil {
		r.c.Before()
	}
	before := memory()
	start := CPU()
	r.c.Run(r.n)
	took := CPU() - start
	after := memory()
	if r.c.After != nil {
		r.c.After()
	}
	r.bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(r.n)
	r.allocs = math.Round(10*float64(after.Mallocs-before.Mallocs)/float64(r.n)) / 10
	return float64(took) / float64(r.n)
}

func memory() (m runtime.MemStats) {
	runtime.ReadMemStats(&m) // a benchmark may stop the world
	return m
}

// Pair is the comparison of a case with the reference.
type Pair struct {
	Name      string
	Ratio     float64 // of CPU per operation, median
	Low, High float64 // 95 % interval of that median
	Base      float64 // nanoseconds of CPU per operation of the reference, median
	Bytes     float64 // allocated per operation in addition to the reference
	Ticks     float64 // background operations per slice
	PerTick   float64 // nanoseconds of CPU per background operation
}

// Pairs alternates between reference and case. It compares each slice of the case with
// the mean of the slices of the reference before and after it, which have the same
// number of operations. A case that equals the reference shows the noise.
func Pairs(e Effort, reference Case, cases []Case) []Pair {
	a := calibrate(&reference, e.Slice)
	var pairs []Pair
	for i := range cases {
		pairs = append(pairs, pair(e.Rounds, a, &cases[i]))
	}
	return pairs
}

func pair(rounds int, a *run, c *Case) Pair {
	b := &run{c: c, n: a.n}
	b.slice() // warm up
	var ticks uint64
	if c.Ticks != nil {
		ticks = c.Ticks()
	}
	var ratios, more, bytes, base []float64
	before, beforeBytes := a.slice(), a.bytes
	for range rounds {
		x, after := b.slice(), a.slice()
		mean := (before + after) / 2
		ratios, more = append(ratios, x/mean), append(more, (x-mean)*float64(a.n))
		bytes, base = append(bytes, b.bytes-(beforeBytes+a.bytes)/2), append(base, mean)
		before, beforeBytes = after, a.bytes
	}
	half := 0.98 / math.Sqrt(float64(rounds)) // half of the interval, in ranks of the order statistics
	p := Pair{
		Name: c.Name, Ratio: Quantile(ratios, 0.5), Low: Quantile(ratios, 0.5-half), High: Quantile(ratios, 0.5+half),
		Base: Quantile(base, 0.5), Bytes: Quantile(bytes, 0.5),
	}
	if c.Ticks != nil {
		p.Ticks = float64(c.Ticks()-ticks) / float64(rounds)
		p.PerTick = Quantile(more, 0.5) / p.Ticks
	}
	return p
}

// Cold measures single calls with cold caches: before each call it writes to 16 MB of
// other memory. A sampler that wakes once a second finds the caches in this state. The
// results are in nanoseconds; the time of an empty call is subtracted.
func Cold(rounds int, cases []Case) []float64 {
	other := make([]byte, 16<<20)
	cases = append([]Case{Op("nothing", func() {})}, cases...)
	took := make([][]float64, len(cases))
	for round := range rounds {
		for j := range cases {
			i := (j + round) % len(cases)
			for k := 0; k < len(other); k += 64 {
				other[k]++
			}
			start := CPU()
			cases[i].Run(1)
			took[i] = append(took[i], float64(CPU()-start))
		}
	}
	var medians []float64
	for _, t := range took[1:] {
		medians = append(medians, Quantile(t, 0.5)-Quantile(took[0], 0.5))
	}
	return medians
}

// CPU returns the CPU time of this process in nanoseconds.
func CPU() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(fmt.Sprint("CPU time of the process: ", err))
	}
	return t.Nano()
}

// Quantile returns the quantile q, from 0 to 1, of the values. It returns NaN if there
// are none.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Round(min(max(q, 0), 1)*float64(len(sorted)-1)))]
}
