// SPDX-License-Identifier: Apache-2.0

// Package budget tests that gmpulse stays within its cost limits, on a machine
// that may run other jobs. Times are limited only as ratios to a reference that is
// measured in turn with them, with a margin for noise. The figures themselves are
// in benchmarks/README.md; go -C benchmarks run ./compare measures them.
package budget

import (
	"flag"
	"fmt"
	"go/version"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/testutil"
)

// budget is the limit of one cost.
type budget struct {
	what    string
	unit    string
	limit   float64
	was     float64 // the cost when the limit was set
	measure func(testing.TB) float64
}

const (
	agentBinary  = "binary with the agent, in addition to bare net/http"
	engineBinary = "binary with agent/engine, in addition to bare net/http"
)

func all() []budget {
	const times, allocations, megabytes, series, kilobytes = "×", "allocations", "MB", "series", "KB"
	live := once(liveInPod)
	return []budget{
		{"sample, relative to a bare metrics.Read and getrusage", times, 2.2, 1.25, sampleToLimit},
		{"sample", allocations, 0, 0, sampleAllocations},
		{"snapshot", allocations, 10, 5, snapshotAllocations},
		{"pulse, relative to a bare metrics.Read", times, 0.4, 0.1, pulseToLimit},
		{"pulse", allocations, 0, 0, pulseAllocations},
		{"sample with 50,000 goroutines, relative to one with 50", times, 1.5, 1, sampleGrowth},
		{"tick of an engine with an analyzer and an exporter", allocations, 40, 28, tickAllocations},
		{"goroutines that such a tick starts", "goroutines", 1, 1, tickGoroutines},
		{"root span, relative to a processor that only reads it", times, 2.6, 1.6, rootToReading},
		{"root span with 2,000 active ones, relative to one alone", times, 1.6, 1.1, rootWithActiveSpans},
		{"root span", allocations, 0, 0, rootAllocations},
		{"child span, relative to a processor that only reads it", times, 2.5, 1.2, childToReading},
		{"observation of 5,000 spans, relative to Range over a sync.Map", times, 3, 0.45, observeToRange}, // once a second: 0.13 ms. Between 0.45 and 1.9 on a busy machine, because it reads more memory
		{"observation of 5,000 spans", allocations, 4, 2, observeAllocations},
		{"scrape of the exporter's own page", allocations, 800, 589, scrapeAllocations},
		{"scrape through a registry", allocations, 800, 598, registryAllocations},
		{"Prometheus, a process without spans", series, 150, 130, seriesOfAnAgent},
		// The goal is 3 KB on average for the quick start, 30 MB a day, in a pod too.
		{"record of a live agent in a pod, JSON", kilobytes, 3, 2.6, compact(live)},
		{"record of a live agent in a pod, to Fluentd", kilobytes, 3, 2.55, compactOnWire(live)},
		{"snapshot of a live agent in a pod, in the spool", kilobytes, 11, 8.9, spooled(live)},
		{"keys of the same record, each of them a field of Elasticsearch", "keys", 65, 53, compactKeys(live)},
		{"record of a pod with every metric, JSON", kilobytes, 3, 2.91, compact(pod)},
		{"record of a pod with every metric, to Fluentd", kilobytes, 3, 2.87, compactOnWire(pod)},
		{"records and events of this pod, to Fluentd", "MB a day", 27, 24.9, podDay},
		{"the same with unusual signals and incidents, JSON", kilobytes, 4, 3.57, compact(busy)},
		{"the same with unusual signals and incidents, to Fluentd", kilobytes, 4, 3.53, compactOnWire(busy)},
		{"keys of the same record", "keys", 70, 60, compactKeys(busy)},
		{"full record of the same service, JSON", kilobytes, 24, 20.8, busyFullRecord},
		{"OTLP, a live agent in a pod", "metrics", 85, 62, otlpMetrics(live)},
		{"OTLP, a live agent in a pod", "points", 220, 168, otlpPoints(live)},
		{"Fluentd record", allocations, 75, 47, recordAllocations},
		{"OTLP collect", allocations, 200, 131, collectAllocations},
		{"OTLP collect, deltas", allocations, 250, 162, deltaAllocations},
		// The goal is 6 MB. go -C benchmarks run ./compare -only footprint-parts lists
		// what each library adds to net/http and to the libraries before it, in KB:
		// client_golang 2920 (240 of it promhttp), the OTel SDK's span processors 430,
		// runtime/pprof and the decoder of its profiles 340, bbolt 270, fluent-logger
		// 320, slog, JSON and zip 80, gopsutil 80. That is 4.4 MB. The packages of
		// gmpulse are 2.17 MB, none of them more than a sixth. internal/guard, which
		// recovers panics of foreign code and bounds its calls, takes another 0.05 MB.
		// The agent makes flight recordings by default. It therefore links
		// tracectx/exectrace and golang.org/x/exp/trace with the parser of older trace
		// formats: 0.6 MB. Classification of groups by recordings, hints and names of
		// spans take 0.25 MB, hardening 0.1 MB.
		{agentBinary, megabytes, 8.4 + newJSON(), 8.33, agentSize}, // alerts, webhooks, authentication at Fluentd, profiles and the SDK's resource added 0.45
		{engineBinary, megabytes, 1.05 + newJSON(), 1.02, engineSize},
	}
}

// newJSON returns by how many MB a program with log/slog grew in Go 1.27, where
// encoding/json is implemented by encoding/json/v2, which has three times the code.
func newJSON() float64 {
	if version.Compare(runtime.Version(), "go1.27") < 0 {
		return 0
	}
	return 0.55
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write testdata: the code size of each package when the limits were set")
	m.Run()
}

func TestBudget(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector costs more than the code it checks")
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
			if got > b.limit {
				t.Errorf("%s: %s, the limit is %v (measured %v when the limit was set). Undo the increase, or raise the limit in internal/budget and give the reason there.", b.what, cost, b.limit, b.was)
				if source := map[string]string{agentBinary: withAgent, engineBinary: withEngine}[b.what]; source != "" {
					t.Log(change(t, b.what, source))
				}
			}
			t.Log(cost)
		})
	}
}

// ratio returns the time of a call of f divided by the time of a call of reference.
// The two take turns. The fastest slice of each counts, because other jobs of the
// machine can only make a slice slower.
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

// repeats returns how many calls of f take about the time want.
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

func TestRatioShowsAnIncreaseByHalf(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector changes the ratio")
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
		t.Errorf("1.5 times the work measures as %.2f times", r)
	}
}
