// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// tickOf returns a snapshot with all values that a History stores.
func tickOf(at time.Time, n float64, roots int) *runtimeinfo.Snapshot {
	s := runtimeinfo.NewSnapshot(
		point("go.goroutine.count", 10+n),
		point("go.schedule.duration", 0),
		point("gmpulse.memory.heap_alloc", 1000*n),
		point("go.memory.allocated", 100*n),
		point("go.memory.gc.cycles", n),
		point("gmpulse.gc.pause.time", n/1000),
		point("gmpulse.cgroup.cpu.throttled.time", math.Trunc(n/5)), // every fifth tick has a host pass
		point("gmpulse.host.age", math.Mod(n, 5)),
	)
	s.Time = at
	s.SpanGroups = []runtimeinfo.SpanGroup{{Name: "a", Active: roots}, {Name: "b", Active: 1}}
	h := s.Histogram("go.schedule.duration")
	h.Counts[0], h.Counts[2] = uint64(99*n), uint64(n)
	return s
}

// testMetrics has one metric for each key, because points of one metric share it.
var testMetrics = func() map[string]*runtimeinfo.Metric {
	all := map[string]*runtimeinfo.Metric{
		keyLatency: {Name: keyLatency, Kind: runtimeinfo.KindHistogram},
	}
	for _, key := range columnKeys() {
		all[key] = &runtimeinfo.Metric{Name: key, Kind: runtimeinfo.KindGauge}
	}
	return all
}()

func point(key string, v float64) runtimeinfo.Point {
	p := runtimeinfo.Point{Metric: testMetrics[key], Number: v}
	if key == keyLatency {
		p.Histogram = &runtimeinfo.Histogram{Bounds: []float64{1, 2, 4}, Counts: make([]uint64, 4)}
	}
	return p
}

func TestHistoryWindow(t *testing.T) {
	h := NewHistory(0)
	t0 := time.Now()
	second := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	if _, ok := h.window(second(-1), second(1)); ok {
		t.Error("an empty history has a window")
	}
	for i := range 20 {
		h.Add(tickOf(second(float64(i)), float64(i), i))
	}
	w, ok := h.window(second(2.5), second(12.5))
	if !ok {
		t.Fatal("no window")
	}
	before, known := w.before()
	throttled, over := w.throttled()
	for name, test := range map[string]struct{ got, want float64 }{
		"ticks":              {float64(w.count()), 10}, // 3 to 12
		"length":             {w.length().Seconds(), 10},
		"roots":              {w.roots(), 7.5 + 1},
		"pause":              {w.gained(colPause), 0.010},
		"cycles":             {w.gained(colCycles), 10},
		"allocated":          {w.gained(colAllocated), 1000},
		"goroutines gained":  {w.gained(colGoroutines), 10},
		"goroutines max":     {w.goroutinesMax(), 22},
		"throttled":          {throttled, 2}, // the passes at 0 and 10
		"throttled over":     {over.Seconds(), 10},
		"p50":                {w.schedLatency(0.5), 500. / 990},
		"p100":               {w.schedLatency(1), 4},
		"goroutines before":  {before.numbers[colGoroutines], 12},
		"heap before":        {before.numbers[colHeap], 2000},
		"tick before, known": {b2f(known), 1},
	} {
		if math.Abs(test.got-test.want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", name, test.got, test.want)
		}
	}
	if latest := h.newest(); latest == nil || !latest.time.Equal(second(19)) || latest.roots != 20 || latest.numbers[colCycles] != 19 {
		t.Errorf("the latest is of %v", latest.time)
	}
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func TestHistoryWindowEdges(t *testing.T) {
	h := NewHistory(8)
	t0 := time.Now()
	for i := range 20 { // 12 to 19 remain
		h.Add(tickOf(t0.Add(time.Duration(i)*time.Second), float64(i), 0))
	}
	h.Add(tickOf(t0, 100, 0)) // out of order: ignored
	for name, test := range map[string]struct {
		start, end float64
		ticks      int
		known      bool // whether the tick before is available
	}{
		"between two ticks":    {14.2, 14.8, 0, false},
		"over one tick":        {14.8, 15.2, 1, true},
		"from tick to tick":    {14, 16, 2, true}, // the values before tick 14 are not included
		"up to now":            {17.5, 30, 2, true},
		"in the future":        {19.5, 30, 0, false},
		"since long ago":       {-100, 15.5, 3, false},
		"long ago":             {-100, -50, 0, false},
		"just before the ring": {3, 5, 0, false},
		"backwards":            {16.5, 14.5, 0, false},
		"everything":           {-100, 100, 7, false},
	} {
		at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
		w, ok := h.window(at(test.start), at(test.end))
		if ok != (test.ticks > 0) {
			t.Errorf("%s: ok is %v", name, ok)
			continue
		}
		if !ok {
			continue
		}
		if _, known := w.before(); w.count() != test.ticks || known != test.known {
			t.Errorf("%s: %d ticks, before known: %v", name, w.count(), known)
		}
	}
}

// Applications may set any start and end time of a span.
func TestHistoryAcceptsTimesInOtherCenturies(t *testing.T) {
	h := NewHistory(8)
	t0 := time.Now()
	for i := range 8 {
		h.Add(tickOf(t0.Add(time.Duration(i)*time.Second), float64(i), 0))
	}
	past, future := t0.AddDate(-1000, 0, 0), t0.AddDate(1000, 0, 0)
	if w, ok := h.window(future, future.AddDate(1, 0, 0)); ok {
		t.Errorf("%d ticks lie in the future", w.count())
	}
	if w, ok := h.window(past, past.AddDate(1, 0, 0)); ok {
		t.Errorf("%d ticks lie in the past", w.count())
	}
	if w, ok := h.window(past, future); !ok || w.count() != 7 {
		t.Errorf("from the past into the future: %v", ok)
	}
}

// The search finds the same ticks as a linear search if ticks are irregular.
func TestHistorySearchEqualsLinearSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		size := 4 + r.IntN(100)
		h := NewHistory(size)
		t0 := time.Now()
		var at []time.Duration
		var last time.Duration
		for range 1 + r.IntN(3*size) {
			last += time.Duration(1 + r.Int64N(1<<r.IntN(20)))
			at = append(at, last)
			h.Add(tickOf(t0.Add(last), 0, 0))
		}
		kept := at[max(0, len(at)-size):]
		before := func(d time.Duration) (i int) {
			for i+1 < len(kept) && kept[i+1] <= d {
				i++
			}
			return i
		}
		for range 200 {
			start := time.Duration(r.Int64N(int64(last) + 10))
			end := start + time.Duration(r.Int64N(int64(last)))
			from, to := before(start), before(end)
			w, ok := h.window(t0.Add(start), t0.Add(end))
			if ok != (to > from) || ok && (w.count() != to-from || w.length() != kept[to]-kept[from]) {
				t.Fatalf("from %v to %v: got %v, want %v to %v of %v", start, end, w, from, to, kept)
			}
		}
	}
}

// Times from time.Now are found by their monotonic reading, even if the wall clock changes.
func TestHistoryUsesTheMonotonicClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHistory(0)
		start := time.Now()
		for i := range 10 {
			time.Sleep(time.Second)
			h.Add(tickOf(time.Now(), float64(i), 0))
		}
		end := time.Now()
		if w, ok := h.window(start, end); !ok || w.count() != 9 {
			t.Errorf("%v", ok)
		}
		// Times without a monotonic reading are compared with the wall clock of the newest tick.
		if w, ok := h.window(start.Round(0), end.Round(0)); !ok || w.count() != 9 {
			t.Errorf("by the wall clock: %v", ok)
		}
		if _, ok := h.window(start.Round(0).Add(time.Hour), end.Round(0).Add(time.Hour)); ok {
			t.Error("a span from the future has a window")
		}
		// A tick that is earlier than the newest one is ignored.
		h.Add(tickOf(end.Round(0).Add(-time.Hour), 99, 0))
		if latest := h.newest(); latest.numbers[colCycles] != 9 {
			t.Error("a tick before the newest was added")
		}
	})
}

func TestHistoryIsConsistentUnderConcurrentReads(t *testing.T) {
	h := NewHistory(16)
	t0 := time.Now()
	const ticks = 5_000
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for i := range ticks {
			h.Add(tickOf(t0.Add(time.Duration(i)*time.Millisecond), float64(i), 3))
		}
	})
	for range 3 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
			for {
				select {
				case <-done:
					return
				default:
				}
				latest := h.newest()
				if latest == nil {
					continue
				}
				start := latest.time.Add(-time.Duration(r.IntN(20_000)) * time.Microsecond)
				w, ok := h.window(start, start.Add(time.Duration(r.IntN(20_000))*time.Microsecond))
				if !ok {
					continue
				}
				if w.gained(colCycles) != float64(w.count()) || w.roots() != 4 || w.length() != time.Duration(w.count())*time.Millisecond {
					t.Errorf("torn: %v cycles in %d ticks of %v", w.gained(colCycles), w.count(), w.length())
				}
				w.goroutinesMax()
			}
		})
	}
	wg.Wait()
}

func TestHistoryOfAnEmptySnapshotIsNaN(t *testing.T) {
	h := NewHistory(0)
	for range 2 {
		s := runtimeinfo.NewSnapshot()
		s.Time = time.Now()
		h.Add(s)
		<-time.After(time.Millisecond)
	}
	w, ok := h.window(time.Now().Add(-time.Hour), time.Now())
	if !ok {
		t.Fatal("no window")
	}
	throttled, over := w.throttled()
	for _, v := range []float64{w.gained(colPause), w.gained(colCycles), w.gained(colAllocated), w.gained(colGoroutines), w.goroutinesMax(), w.schedLatency(0.5), throttled} {
		if !math.IsNaN(v) {
			t.Errorf("%v of nothing", v)
		}
	}
	if w.roots() != 0 || over != 0 {
		t.Errorf("%v roots, throttled over %v", w.roots(), over)
	}
}

func TestHistoryLookupDoesNotAllocate(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	h := NewHistory(0)
	t0 := time.Now()
	for i := range 100 {
		h.Add(tickOf(t0.Add(time.Duration(i)*time.Second), float64(i), 1))
	}
	if n := testing.AllocsPerRun(100, func() {
		w, _ := h.window(t0.Add(30*time.Second), t0.Add(32*time.Second))
		w.schedLatency(0.99)
	}); n != 0 {
		t.Errorf("%v allocations per window", n)
	}
	s := tickOf(t0, 1, 1)
	s.Time = t0.Add(time.Hour)
	if n := testing.AllocsPerRun(100, func() {
		s.Time = s.Time.Add(time.Second)
		h.Add(s)
	}); n > 1 {
		t.Errorf("%v allocations per tick", n)
	}
}

// BenchmarkHistory measures the lookup of a span by its start and end, and the cost of a tick.
func BenchmarkHistory(b *testing.B) {
	h := NewHistory(0)
	t0 := time.Now()
	for i := range 2 * defaultHistory {
		h.Add(tickOf(t0.Add(time.Duration(i)*time.Second+time.Duration(i%7)*time.Millisecond), float64(i), 1))
	}
	newest := h.newest()
	for _, age := range []int{2, 30, 300} {
		b.Run("window/age="+strconv.Itoa(age), func(b *testing.B) {
			start := newest.time.Add(-time.Duration(age) * time.Second)
			b.ReportAllocs()
			var sum float64
			for b.Loop() {
				w, _ := h.window(start, start.Add(1500*time.Millisecond))
				sum += w.gained(colPause)
			}
			if sum == 0 {
				b.Error("nothing found")
			}
		})
	}
	b.Run("add", func(b *testing.B) {
		r := sampler.NewReader(sampler.Config{})
		r.Read(sampler.Tick{Time: newest.time})
		s := r.Snapshot()
		b.ReportAllocs()
		for b.Loop() {
			s.Time = s.Time.Add(time.Second)
			h.Add(s)
		}
	})
}
