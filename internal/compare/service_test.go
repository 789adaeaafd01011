// SPDX-License-Identifier: Apache-2.0

package compare_test

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/jsonl"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/compare"
	"github.com/gmpulse/gmpulse/internal/summary"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// service simulates a service. Its noise lasts for some seconds, like the noise of neighbours.
type service struct {
	cpu, bytes, latency, failures, goroutines, others float64
	items                                             float64 // share of the requests for GET /item

	seed    uint64
	instant time.Time
	idle    int // ticks before the first request
	// neighbour is by how much another process of the machine slows the service down, at different times.
	neighbour float64
}

// normal returns a service with 5 ms of CPU per request and latencies around 20 ms. Services with different
// seeds run at different times.
func normal(seed uint64) service {
	return service{cpu: 0.005, bytes: 40_000, latency: 0.02, failures: 0.002, goroutines: 80, others: 0.3, items: 0.5, seed: seed, instant: time.Date(2026, 11, 30, int(seed), 0, 0, 0, time.UTC)}
}

// snapshots returns one snapshot for each second.
func (s service) snapshots(ticks int) []*runtimeinfo.Snapshot {
	metrics := map[string]*runtimeinfo.Metric{}
	for _, m := range catalogue.All() {
		metrics[m.Key()] = m
	}
	r := rand.New(rand.NewPCG(s.seed, 3))
	counters := map[string]float64{}
	groups := []runtimeinfo.SpanGroup{{Name: "GET /cart"}, {Name: "GET /item"}}
	histograms := []map[int]uint64{{}, {}}
	sums := []float64{0, 0}
	noise := 0.0
	var all []*runtimeinfo.Snapshot
	for tick := range ticks {
		noise = 0.6*noise + 0.8*r.NormFloat64()
		requests := math.Round(100 + 10*r.NormFloat64())
		if tick < s.idle {
			requests = 0
		}
		gauges := map[string]float64{
			"gmpulse.goroutine.user": math.Round(s.goroutines + 2*r.NormFloat64()), "process.unix.file_descriptor.count": 40,
			"process.memory.usage": 200e6 + 1e6*r.Float64(), "gmpulse.memory.heap_alloc": 100e6 + 30e6*r.Float64(),
			"go.processor.limit": 4, "system.cpu.logical.count": 4,
			"gmpulse.cpu.used": 0.02 + requests*s.cpu*(1+0.02*noise+0.02*r.NormFloat64()+s.neighbour*math.Sin(float64(tick)/12)),
		}
		s.count(counters, gauges["gmpulse.cpu.used"], requests, r)
		for range int(requests) {
			i := 0
			if r.Float64() < s.items {
				i = 1
			}
			took := s.latency * math.Exp(0.4*r.NormFloat64()) * (1 + 0.02*noise)
			histograms[i][bucket(took)]++
			sums[i] += took
			groups[i].Ended++
			if r.Float64() < s.failures {
				groups[i].Errors++
			}
		}
		var points []runtimeinfo.Point
		for _, values := range []map[string]float64{gauges, counters} {
			for key, v := range values {
				points = append(points, runtimeinfo.Point{Metric: metrics[key], Number: v})
			}
		}
		x := s.snapshot(tick, points)
		for i, g := range groups {
			if g.Ended > 0 {
				g.Durations = durations(histograms[i], sums[i])
				x.SpanGroups = append(x.SpanGroups, g)
			}
		}
		all = append(all, x)
	}
	return all
}

// count adds the work of a second to the counters.
func (s service) count(counters map[string]float64, cpu, requests float64, r *rand.Rand) {
	counters["process.cpu.time.user"] += cpu
	counters["system.cpu.time.user"] += cpu + s.others
	counters["gmpulse.root_spans.started"] += requests
	counters["gmpulse.root_spans.ended"] += requests
	counters["go.memory.allocated"] += requests * s.bytes * (1 + 0.01*r.NormFloat64())
	counters["go.memory.allocations"] += requests * 300
	counters["go.memory.gc.cycles"] += math.Floor(0.5 + r.Float64())
	counters["gmpulse.gc.pause.time"] += 1e-4 * r.Float64()
}

// snapshot returns the snapshot of a tick.
func (s service) snapshot(tick int, points []runtimeinfo.Point) *runtimeinfo.Snapshot {
	x := runtimeinfo.NewSnapshot(points...)
	x.Seq, x.Start = uint64(tick+1), s.instant
	x.Time, x.Since = s.instant.Add(time.Duration(tick+1)*time.Second), s.instant.Add(time.Duration(tick)*time.Second)
	x.Resource = []runtimeinfo.Attr{{Key: "service.name", Value: "shop"}, {Key: "service.version", Value: "1.0"}, {Key: "host.name", Value: "ci"}}
	return x
}

// bucket returns the number of a bucket of a quarter of a doubling.
func bucket(seconds float64) int {
	us := seconds * 1e6
	doubling := math.Floor(math.Log2(us)) - 2
	return int(4*doubling + math.Floor(us/math.Exp2(doubling)) - 4)
}

func durations(counts map[int]uint64, sum float64) *runtimeinfo.Histogram {
	h := &runtimeinfo.Histogram{Sum: sum}
	for i := range 120 {
		h.Bounds = append(h.Bounds, float64(5+i%4)*math.Exp2(float64(i/4))/1e6)
		h.Counts = append(h.Counts, counts[i])
	}
	h.Counts = append(h.Counts, 0)
	return h
}

// record writes the records of some ticks each, as an agent with exporters/jsonl does.
func (s service) record(tb testing.TB, ticks, each int, full bool) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "gmpulse.jsonl")
	s.append(tb, path, ticks, each, full)
	return path
}

func (s service) append(tb testing.TB, path string, ticks, each int, full bool) {
	tb.Helper()
	e, err := jsonl.New(jsonl.Config{Path: path, Full: full})
	if err != nil {
		tb.Fatal(err)
	}
	var sum summary.Summary
	for i, x := range s.snapshots(ticks) {
		if sum.Add(x); (i+1)%each != 0 {
			continue
		}
		if err := e.Export(tb.Context(), sum.Snapshot()); err != nil {
			tb.Fatal(err)
		}
		sum.Reset()
	}
	if err := e.Shutdown(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

func read(tb testing.TB, path string) *compare.Recording {
	tb.Helper()
	r, err := compare.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func report(tb testing.TB, before, after string) *compare.Report {
	tb.Helper()
	r, err := compare.Compare(read(tb, before), read(tb, after), compare.Config{Margin: 0.05, Warmup: 30 * time.Second, Roots: 10})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// row returns the row of a quantity.
func row(tb testing.TB, r *compare.Report, root, quantity string) compare.Row {
	tb.Helper()
	for i := range r.Rows {
		if x := r.Rows[i]; x.Root == root && x.Quantity == quantity {
			return x
		}
	}
	tb.Fatalf("there is no row %q %q", root, quantity)
	return compare.Row{}
}

func write(tb testing.TB, path, content string) string {
	tb.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}
