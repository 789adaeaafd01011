// SPDX-License-Identifier: Apache-2.0

package sampler_test

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/hostfield"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// read takes a sample.
func read(r *sampler.Reader) *runtimeinfo.Snapshot {
	r.Read(sampler.Tick{Time: time.Now()})
	return r.Snapshot()
}

// settled takes samples until the condition is true, because new goroutines need time to run and block.
func settled(t *testing.T, r *sampler.Reader, ok func(*runtimeinfo.Snapshot) bool) *runtimeinfo.Snapshot {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		s := read(r)
		if ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal("the condition is false after 10 s")
		}
		runtime.Gosched()
	}
}

func number(t *testing.T, s *runtimeinfo.Snapshot, key string) float64 {
	t.Helper()
	v, ok := s.Number(key)
	if !ok {
		t.Fatalf("%s is absent", key)
	}
	return v
}

// The rows and MemStats are not read at the same time. The tolerance of each row, in bytes or objects,
// allows for allocations in between.
func TestRowsEqualMemStats(t *testing.T) {
	r := sampler.NewReader(sampler.Config{})
	runtime.GC()
	read(r) // the first read allocates
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	s := read(r)
	get := func(keys ...string) (sum float64) {
		for _, k := range keys {
			sum += number(t, s, k)
		}
		return sum
	}
	const some = 64 << 10
	for _, row := range []struct {
		field     string
		want      float64
		got       float64
		tolerance float64
	}{
		{"Alloc", float64(ms.Alloc), get("gmpulse.memory.heap_alloc"), some},
		{"TotalAlloc", float64(ms.TotalAlloc), get("go.memory.allocated"), some},
		{"Sys", float64(ms.Sys), get("gmpulse.memory.sys"), 0},
		{"Mallocs", float64(ms.Mallocs), get("go.memory.allocations", "gmpulse.memory.tiny_allocations"), 1000},
		{"Frees", float64(ms.Frees), get("gmpulse.memory.frees", "gmpulse.memory.tiny_allocations"), 1000},
		{"HeapAlloc", float64(ms.HeapAlloc), get("gmpulse.memory.heap_alloc"), some},
		{"HeapSys", float64(ms.HeapSys), get("gmpulse.memory.heap_sys"), some},
		{"HeapIdle", float64(ms.HeapIdle), get("gmpulse.memory.heap_idle"), some},
		{"HeapInuse", float64(ms.HeapInuse), get("gmpulse.memory.heap_inuse"), some},
		{"HeapReleased", float64(ms.HeapReleased), get("gmpulse.memory.heap_released"), 4 << 20}, // the scavenger works in the background
		{"HeapObjects", float64(ms.HeapObjects), get("gmpulse.memory.heap_objects"), 1000},
		{"StackInuse", float64(ms.StackInuse), get("go.memory.used.stack"), some},
		{"StackSys", float64(ms.StackSys), get("gmpulse.memory.stack_sys"), some},
		{"MSpanInuse", float64(ms.MSpanInuse), get("gmpulse.memory.mspan_inuse"), 16 << 10},
		{"MSpanSys", float64(ms.MSpanSys), get("gmpulse.memory.mspan_sys"), 0},
		{"MCacheInuse", float64(ms.MCacheInuse), get("gmpulse.memory.mcache_inuse"), 0},
		{"MCacheSys", float64(ms.MCacheSys), get("gmpulse.memory.mcache_sys"), 0},
		{"BuckHashSys", float64(ms.BuckHashSys), get("gmpulse.memory.buck_hash_sys"), 0},
		{"GCSys", float64(ms.GCSys), get("gmpulse.memory.gc_sys"), some},
		{"OtherSys", float64(ms.OtherSys), get("gmpulse.memory.other_sys"), some},
		{"NextGC", float64(ms.NextGC), get("go.memory.gc.goal"), 0},
		{"LastGC", float64(ms.LastGC) / 1e9, get("gmpulse.gc.last.timestamp"), 1e-6},
		{"PauseTotalNs", float64(ms.PauseTotalNs) / 1e9, get("gmpulse.gc.pause.time"), 1e-9},
		{"NumGC", float64(ms.NumGC), get("go.memory.gc.cycles"), 0},
		{"NumForcedGC", float64(ms.NumForcedGC), get("gmpulse.gc.forced_cycles"), 0},
		{"GCCPUFraction", ms.GCCPUFraction, get("gmpulse.gc.cpu"), 1e-6},
	} {
		if math.Abs(row.got-row.want) > row.tolerance {
			t.Errorf("%s: got %v, MemStats has %v, tolerance %v", row.field, row.got, row.want, row.tolerance)
		}
		if row.field != "Frees" && row.want == 0 {
			t.Errorf("%s: MemStats has 0, so that the comparison is meaningless", row.field)
		}
	}
}

// n blocked goroutines increase the totals and the number of waiting goroutines.
func TestGoroutineCountsGrow(t *testing.T) {
	r := sampler.NewReader(sampler.Config{})
	before := read(r)
	stop := make(chan struct{})
	defer close(stop)
	const n = 500
	for range n {
		go func() { <-stop }()
	}
	after := settled(t, r, func(s *runtimeinfo.Snapshot) bool {
		return number(t, s, "gmpulse.scheduler.goroutines.waiting") >= number(t, before, "gmpulse.scheduler.goroutines.waiting")+n-10
	})
	for _, key := range []string{"go.goroutine.count", "gmpulse.goroutine.user", "gmpulse.scheduler.goroutines.waiting", "gmpulse.goroutine.creations"} {
		grew := number(t, after, key) - number(t, before, key)
		if grew < n-10 || grew > n+50 {
			t.Errorf("%s grew by %v, want about %d", key, grew, n)
		}
	}
	if total, user := number(t, after, "go.goroutine.count"), number(t, after, "gmpulse.goroutine.user"); total <= user {
		t.Errorf("total %v is not greater than user %v, although it includes the goroutines of the runtime", total, user)
	}
}

// The four states are read at different times, so that their sum may differ from the total.
func TestGoroutineStatesAreFinite(t *testing.T) {
	r := sampler.NewReader(sampler.Config{})
	s := read(r)
	rows := 0
	for p := range s.Points() {
		if p.Metric.Name == "gmpulse.scheduler.goroutines" {
			rows++
			if p.Number < 0 || p.Number > 1e6 {
				t.Errorf("%s is %v", p.Metric.Key(), p.Number)
			}
		}
	}
	if rows != 4 {
		t.Errorf("%d states, want 4", rows)
	}
}

func TestSentinelsAreAbsent(t *testing.T) {
	r := sampler.NewReader(sampler.Config{})
	for _, key := range []string{"go.memory.limit", "gmpulse.memory.headroom.gomemlimit"} {
		if v, ok := read(r).Number(key); ok {
			t.Errorf("%s is %v without a limit, want absent", key, v)
		}
	}
	t.Cleanup(func() { debug.SetGCPercent(100) })
	old := debug.SetGCPercent(-1)
	if v, ok := read(r).Number("go.config.gogc"); ok {
		t.Errorf("go.config.gogc is %v when collection is off, want absent", v)
	}
	debug.SetGCPercent(old)
	oldLimit := debug.SetMemoryLimit(1 << 40)
	defer debug.SetMemoryLimit(oldLimit)
	s := read(r)
	limit, room := number(t, s, "go.memory.limit"), number(t, s, "gmpulse.memory.headroom.gomemlimit")
	used := number(t, s, "go.memory.used.stack") + number(t, s, "go.memory.used.other")
	if limit != 1<<40 || room != limit-used {
		t.Errorf("limit %v, used %v, headroom %v", limit, used, room)
	}
}

// runtime/metrics reuses the memory of histograms, so that a snapshot needs a copy.
func TestSnapshotIsImmutable(t *testing.T) {
	r := sampler.NewReader(sampler.Config{})
	runtime.GC()
	s := read(r)
	type state struct {
		counts []uint64
		bounds []float64
	}
	var before []state
	for p := range s.Points() {
		if p.Histogram != nil {
			before = append(before, state{slices.Clone(p.Histogram.Counts), slices.Clone(p.Histogram.Bounds)})
		}
	}
	if len(before) != 4 {
		t.Fatalf("%d histograms, want 4", len(before))
	}
	numbers := map[string]float64{}
	for p := range s.Points() {
		numbers[p.Metric.Key()] = p.Number
	}
	for range 5 {
		runtime.GC()
		r.Pulse(0)
		read(r)
	}
	i := 0
	for p := range s.Points() {
		if p.Number != numbers[p.Metric.Key()] {
			t.Errorf("%s changed", p.Metric.Key())
		}
		if p.Histogram != nil {
			if !slices.Equal(p.Histogram.Counts, before[i].counts) || !slices.Equal(p.Histogram.Bounds, before[i].bounds) {
				t.Errorf("%s changed", p.Metric.Key())
			}
			i++
		}
	}
}

// A merged histogram has the count of the runtime's histogram, and its bounds are bounds of the
// runtime's histogram.
func TestHistogramsEqualTheRuntimeHistograms(t *testing.T) {
	r := sampler.NewReader(sampler.Config{})
	runtime.GC()
	s := read(r)
	for key, ours := range map[string]string{
		"/sched/pauses/total/gc:seconds":    "go.memory.gc.pause.duration",
		"/sched/pauses/total/other:seconds": "gmpulse.stw.other.duration",
	} {
		sample := []metrics.Sample{{Name: key}}
		metrics.Read(sample)
		theirs := sample[0].Value.Float64Histogram()
		h := s.Histogram(ours)
		var want uint64
		for _, c := range theirs.Counts {
			want += c
		}
		if h.Count() != want {
			t.Errorf("%s has %d observations, the runtime %d", ours, h.Count(), want)
		}
		for _, b := range h.Bounds {
			if !slices.ContainsFunc(theirs.Buckets, func(x float64) bool { return math.Abs(x-b) < b*1e-9 }) {
				t.Errorf("%s: bound %v is not a bound of the runtime", ours, b)
			}
		}
		var cumulative uint64
		for i, b := range h.Bounds {
			cumulative += h.Counts[i]
			var want uint64
			for j, c := range theirs.Counts {
				if theirs.Buckets[j+1] <= b*(1+1e-9) {
					want += c
				}
			}
			if cumulative != want {
				t.Errorf("%s: %d observations up to %v, the runtime has %d", ours, cumulative, b, want)
			}
		}
	}
}

func TestQuantilesCoverOnlyTheLastTick(t *testing.T) {
	r := sampler.NewReader(sampler.Config{})
	read(r)
	runtime.GC()
	s := read(r)
	p50, largest := number(t, s, "gmpulse.gc.pause.p50"), number(t, s, "gmpulse.gc.pause.max")
	if p50 <= 0 || p50 > largest {
		t.Errorf("p50 %v, max %v", p50, largest)
	}
	if v, ok := read(r).Number("gmpulse.gc.pause.max"); ok {
		t.Errorf("the greatest pause of a tick without collection is %v, want absent", v)
	}
}

func TestValuesOfTheHostPass(t *testing.T) {
	r := sampler.NewReader(sampler.Config{})
	if v, ok := read(r).Number("process.memory.usage"); ok {
		t.Errorf("process.memory.usage is %v before the first host pass", v)
	}
	h := host.NewSample()
	h.Set(hostfield.ProcessMemoryRSS, 123)
	h.Set(hostfield.CgroupMemoryMax, 1000)
	h.Set(hostfield.CgroupMemoryWorkingSet, 400)
	r.Read(sampler.Tick{Host: h})
	s := r.Snapshot()
	if v := number(t, s, "process.memory.usage"); v != 123 {
		t.Errorf("process.memory.usage is %v, want 123", v)
	}
	if v := number(t, s, "gmpulse.memory.headroom.container"); v != 600 {
		t.Errorf("container headroom is %v, want 600", v)
	}
	if v, ok := s.Number("process.memory.virtual"); ok {
		t.Errorf("process.memory.virtual is %v, want absent", v)
	}
}

func TestPulseRecordsPeakBetweenTicks(t *testing.T) {
	r, other := sampler.NewReader(sampler.Config{}), sampler.NewReader(sampler.Config{})
	read(r)
	stop := make(chan struct{})
	const n = 400
	for range n {
		go func() { <-stop }()
	}
	blocked := func(s *runtimeinfo.Snapshot) float64 { return number(t, s, "gmpulse.scheduler.goroutines.waiting") }
	settled(t, other, func(s *runtimeinfo.Snapshot) bool { return blocked(s) >= n })
	r.Pulse(3 * time.Millisecond)
	close(stop)
	settled(t, other, func(s *runtimeinfo.Snapshot) bool { return blocked(s) < n/2 })
	s := read(r)
	now, most := number(t, s, "gmpulse.scheduler.goroutines.waiting"), number(t, s, "gmpulse.pulse.goroutines.max.waiting")
	least, mean := number(t, s, "gmpulse.pulse.goroutines.min.waiting"), number(t, s, "gmpulse.pulse.goroutines.mean.waiting")
	if most < n || now > most-n/2 || least > now || mean <= least || mean >= most {
		t.Errorf("waiting now %v, min %v, mean %v, max %v", now, least, mean, most)
	}
	if v := number(t, s, "gmpulse.pulse.lateness.max"); v != 0.003 {
		t.Errorf("lateness %v, want 0.003", v)
	}
	if v := number(t, s, "gmpulse.pulse.lateness.mean"); v != 0.003 {
		t.Errorf("mean lateness %v, want 0.003", v)
	}
	if n := s.Histogram("gmpulse.pulse.runnable_per_processor.distribution").Count(); n != 3 {
		t.Errorf("%d readings of the scheduler, want 3: two ticks and a pulse", n)
	}
	if v := number(t, read(r), "gmpulse.pulse.goroutines.max.waiting"); v > most-n/2 {
		t.Errorf("the maximum includes the previous tick: %v", v)
	}
}

func TestReadDoesNotAllocate(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	r := sampler.NewReader(sampler.Config{})
	tick := sampler.Tick{Host: host.NewSample()}
	r.Read(tick)
	r.Snapshot()
	if n := testing.AllocsPerRun(100, func() { r.Read(tick) }); n != 0 {
		t.Errorf("Read allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { r.Pulse(0) }); n != 0 {
		t.Errorf("Pulse allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { r.Snapshot() }); n > 6 {
		t.Errorf("Snapshot allocates %v times, want at most 6", n)
	}
}

func BenchmarkRead(b *testing.B) {
	r := sampler.NewReader(sampler.Config{})
	tick := sampler.Tick{Host: host.NewSample()}
	b.ReportAllocs()
	for b.Loop() {
		r.Read(tick)
	}
}

func BenchmarkPulse(b *testing.B) {
	r := sampler.NewReader(sampler.Config{})
	b.ReportAllocs()
	for b.Loop() {
		r.Pulse(0)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	r := sampler.NewReader(sampler.Config{})
	r.Read(sampler.Tick{Host: host.NewSample()})
	b.ReportAllocs()
	for b.Loop() {
		r.Snapshot()
	}
}

func BenchmarkMetricsRead(b *testing.B) {
	var samples []metrics.Sample
	for _, d := range metrics.All() {
		if len(d.Name) > 8 && d.Name[:9] != "/godebug/" {
			samples = append(samples, metrics.Sample{Name: d.Name})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		metrics.Read(samples)
	}
}
