// SPDX-License-Identifier: Apache-2.0

// Package budget holds what gmpulse may cost: the figures that a machine with
// other work to do can still be asked for. Times are asked for only as ratios to
// something measured in turn with them, and with room for noise; the README has
// the figures themselves, from go -C benchmarks run ./compare.
package budget

import (
	"flag"
	"fmt"
	"go/version"
	"math"
	"runtime"
	"testing"
	"time"
)

// budget is one thing that may cost so much and no more.
type budget struct {
	what string
	unit string
	most float64
	// was is what it cost when the budget was set: a first hint at what changed.
	was     float64
	measure func(testing.TB) float64
}

const (
	agentBinary  = "binary with the agent, over bare net/http"
	engineBinary = "binary with agent/engine, over bare net/http"
)

func all() []budget {
	const times, allocations, megabytes = "×", "allocations", "MB"
	return []budget{
		{"sample, to a bare metrics.Read", times, 3, 1.65, sampleToLimit},
		{"sample", allocations, 0, 0, sampleAllocations},
		{"snapshot", allocations, 10, 5, snapshotAllocations},
		{"pulse, to a bare metrics.Read", times, 0.4, 0.1, pulseToLimit},
		{"pulse", allocations, 0, 0, pulseAllocations},
		{"sample beside 50,000 goroutines, to one beside 50", times, 1.5, 1, sampleGrowth},
		{"tick of an engine with one exporter", allocations, 40, 17, tickAllocations},
		{"root span, to a processor that looks at it and forgets it", times, 2.6, 1.6, rootToLook},
		{"root span beside 2,000 active ones, to one alone", times, 1.6, 1.1, rootInCrowd},
		{"root span", allocations, 0, 0, rootAllocations},
		{"child span, to the same", times, 2.5, 1.2, childToLook},
		{"observation of 5,000 spans, to Range over a sync.Map", times, 0.5, 0.19, scanToRange},
		{"observation of 5,000 spans", allocations, 4, 2, scanAllocations},
		{"scrape of the own page", allocations, 1600, 1210, scrapeAllocations},
		{"scrape by way of a registry", allocations, 1600, 1200, registryAllocations},
		{"Fluentd record", allocations, 130, 87, recordAllocations},
		{"OTLP collect", allocations, 400, 266, collectAllocations},
		{"OTLP collect, deltas", allocations, 450, 335, deltaAllocations},
		// The goal is 6. What is linked in addition to net/http, each beside those
		// before it, by go -C benchmarks run ./compare -only footprint-parts, in KB:
		// client_golang 2920 (promhttp 240 of it, and the page is promhttp's),
		// the OTel SDK's package of span processors 430, profiles of runtime/pprof
		// and their decoder 340, bbolt 270, fluent-logger 320, slog, JSON and zip 80,
		// gopsutil 80: 4.4 MB that the exporters, the spool and the surveys are built
		// on. Ours is 2.17 MB, code like any other: no package is a sixth of it.
		// Beyond that 0.05 MB are the guard around all foreign code: errors, accounts,
		// log handlers and parts that panic, hang or end their goroutine.
		// The agent makes flight recordings by default, and so it links the reader of
		// execution traces, golang.org/x/exp/trace with its reader of older formats and
		// their sorts, and tracectx/exectrace: 0.6 MB together. The detector that judges
		// groups by them, hints and names of spans are 0.25 MB, hardening is 0.1 MB.
		{agentBinary, megabytes, 7.8 + newJSON(), 7.74, agentSize},
		{engineBinary, megabytes, 1.05 + newJSON(), 1.02, engineSize},
	}
}

// newJSON is what a program with log/slog grew by in Go 1.27, in MB: encoding/json
// is now made of encoding/json/v2, which is three times the code.
func newJSON() float64 {
	if version.Compare(runtime.Version(), "go1.27") < 0 {
		return 0
	}
	return 0.55
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write testdata, which tells what has changed since a budget was set")
	m.Run()
}

func TestBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector costs more than all of it")
	}
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	for _, b := range all() {
		t.Run(b.what, func(t *testing.T) {
			got := b.measure(t)
			if math.IsNaN(got) {
				t.Fatal("not measured")
			}
			cost := fmt.Sprintf("%.3g %s", got, b.unit)
			if got > b.most {
				t.Errorf("%s: %s, the budget is %v (it was %v when that was set). Mend what made it dearer, or raise the budget in internal/budget and say why.", b.what, cost, b.most, b.was)
				if source := map[string]string{agentBinary: withAgent, engineBinary: withEngine}[b.what]; source != "" {
					t.Log(change(t, b.what, source))
				}
			}
			t.Log(cost)
		})
	}
}

// ratio compares what a call of f costs with what a call of reference does. They
// take turns; of each the fastest slice counts, which is the one that nobody
// disturbed.
func ratio(reference, f func()) float64 {
	const rounds, slice = 80, 500 * time.Microsecond
	best := [2]time.Duration{math.MaxInt64, math.MaxInt64}
	calls := [2]int{repeats(reference, slice), repeats(f, slice)}
	for range rounds {
		for i, f := range []func(){reference, f} {
			best[i] = min(best[i], took(f, calls[i]))
		}
	}
	return per(best[1], calls[1]) / per(best[0], calls[0])
}

// repeats returns how many calls of f take about as long.
func repeats(f func(), want time.Duration) int {
	n := 1
	for took(f, n) < want && n < 1<<20 {
		n *= 2
	}
	return n
}

func took(f func(), n int) time.Duration {
	start := time.Now()
	for range n {
		f()
	}
	return time.Since(start)
}

func per(d time.Duration, n int) float64 { return float64(d) / float64(n) }

func allocations(f func()) float64 { return testing.AllocsPerRun(200, f) }

// TestRatio proves that a cost of half as much again would be seen.
func TestRatio(t *testing.T) {
	if raceEnabled {
		t.Skip("as TestBudget")
	}
	var x uint64
	work := func(n int) func() {
		return func() {
			for i := range n {
				x = x*6364136223846793005 + uint64(i)
			}
		}
	}
	if r := ratio(work(1000), work(1500)); r < 1.2 || r > 1.9 {
		t.Errorf("half as much again measures as %.2f times as much", r)
	}
}
