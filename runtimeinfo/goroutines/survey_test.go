// SPDX-License-Identifier: Apache-2.0

package goroutines_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// crowd starts n goroutines that wait in f, with labels, and returns what lets
// them go and waits for them.
func crowd(n int, labels pprof.LabelSet, f func(<-chan int)) (release func()) {
	c := make(chan int)
	var wg sync.WaitGroup
	pprof.Do(context.Background(), labels, func(context.Context) {
		for range n {
			wg.Go(func() { f(c) })
		}
	})
	return func() { close(c); wg.Wait() }
}

func waitBorn(c <-chan int)  { <-c }
func waitAgent(c <-chan int) { <-c }
func waitDeep(c <-chan int)  { descend(200, c) }

//go:noinline
func descend(n int, c <-chan int) int {
	if n == 0 {
		return <-c
	}
	return descend(n-1, c) + 1
}

func TestBirths(t *testing.T) {
	for _, l := range []struct {
		n      int
		labels pprof.LabelSet
	}{
		{5, pprof.Labels("route", "/cart", "epoch", "7")},
		{3, pprof.Labels("route", "/cart", "epoch", "8")},
		{2, pprof.Labels("epoch", "8", "unrelated", "x")},
		{3, pprof.Labels("route", "/pay", "epoch", "8")},
		{1, pprof.Labels()},
	} {
		defer crowd(l.n, l.labels, waitBorn)()
	}
	want := []goroutines.Birth{
		{Root: "/cart", Epoch: "7", Count: 5},
		{Root: "/cart", Epoch: "8", Count: 3},
		{Root: "/pay", Epoch: "8", Count: 3},
		{Epoch: "8", Count: 2},
		{Count: 1},
	}
	surveyor := goroutines.NewSurveyor(goroutines.Config{RootLabel: "route", EpochLabel: "epoch"})
	var got goroutines.Group
	eventually(t, func() bool {
		s, err := surveyor.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if g := groupAt(s, packagePath+"waitBorn"); g != nil {
			got = *g
		}
		return got.Count == 14 && slices.Equal(got.Births, want) && got.OtherBirths == 0
	}, func() string { return fmt.Sprintf("got %d, born %v; want 14, born %v", got.Count, got.Births, want) })
}

func TestAgentIsLeftOut(t *testing.T) {
	defer crowd(4, pprof.Labels("gmpulse", "tick"), waitAgent)()
	defer crowd(2, pprof.Labels("mine", "x"), waitAgent)()
	for label, agent := range map[string]int{"": 4, "mine": 2} {
		t.Run("label="+label, func(t *testing.T) {
			surveyor := goroutines.NewSurveyor(goroutines.Config{AgentLabel: label})
			var s *goroutines.Survey
			eventually(t, func() bool {
				var err error
				if s, err = surveyor.Take(t.Context()); err != nil {
					t.Fatal(err)
				}
				g := groupAt(s, packagePath+"waitAgent")
				// One more is this one: it takes the survey.
				return g != nil && g.Count == 6-agent && s.Agent == agent+1 &&
					s.Goroutines+s.Agent == runtime.NumGoroutine()
			}, func() string {
				return fmt.Sprintf("%d of ours, %d of others, %d in all", s.Agent, s.Goroutines, runtime.NumGoroutine())
			})
			for _, g := range s.Groups {
				for _, f := range g.Stack {
					if f.Function == "runtime/pprof.writeGoroutine" {
						t.Errorf("the survey sees itself: %v", g.Key)
					}
				}
			}
		})
	}
}

// Whoever waits for another's survey to end is in Take as well.
func TestConcurrentSurveys(t *testing.T) {
	surveyor := goroutines.NewSurveyor(goroutines.Config{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := surveyor.Take(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			for _, g := range s.Groups {
				if g.Class == goroutines.Mutex && g.Entry == packagePath+"TestConcurrentSurveys.func1" {
					t.Errorf("%d of %v", g.Count, g.Key)
				}
			}
		})
	}
	wg.Wait()
}

func TestSurveyIsSortedAndBounded(t *testing.T) {
	defer crowd(400, pprof.Labels(), waitBorn)()
	defer crowd(300, pprof.Labels(), waitAgent)()
	eventually(t, func() bool {
		g := groupAt(take(t), packagePath+"waitAgent")
		return g != nil && g.Count == 300
	}, func() string { return "300 do not wait" })
	whole := take(t)
	s, err := goroutines.NewSurveyor(goroutines.Config{MaxGroups: 2}).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Groups) != 2 || s.Groups[0].Count != 400 || s.Groups[1].Count != 300 {
		t.Fatalf("groups: %v", s.Groups)
	}
	if want := whole.Goroutines - 700; s.Goroutines != whole.Goroutines || s.Rest != want || s.Rest == 0 {
		t.Errorf("%d of %d are beyond the bound, want %d of %d", s.Rest, s.Goroutines, want, whole.Goroutines)
	}
	if g := whole.Get(s.Groups[1].Key); g == nil || g.Count != 300 {
		t.Errorf("Get finds %v", g)
	}
	if g := s.Get(goroutines.Key{}); g != nil {
		t.Errorf("Get finds %v, which is not there", g)
	}
}

// Deeper than the profiler records, nobody knows where it began.
func TestDeepStack(t *testing.T) {
	defer crowd(2, pprof.Labels(), waitDeep)()
	var got goroutines.Group
	eventually(t, func() bool {
		if g := groupAt(take(t), packagePath+"descend"); g != nil {
			got = *g
		}
		return got.Count == 2
	}, func() string { return "nobody is that deep" })
	if got.Entry != "" {
		t.Errorf("entry %q", got.Entry)
	}
	if len(got.Stack) != 48 || got.Stack[0].Function != "runtime.gopark" {
		t.Errorf("%d frames: %v", len(got.Stack), got.Stack)
	}
}

func TestStackEndsWithItsEntry(t *testing.T) {
	c := make(chan int)
	go descend(100, c)
	defer close(c)
	var got goroutines.Group
	eventually(t, func() bool {
		if g := groupAt(take(t), packagePath+"descend"); g != nil {
			got = *g
		}
		return got.Count == 1
	}, func() string { return "nobody is there" })
	if last := got.Stack[len(got.Stack)-1].Function; len(got.Stack) != 48 || last != got.Entry {
		t.Errorf("%d frames down to %s, want 48 down to %s", len(got.Stack), last, got.Entry)
	}
}

func TestTooMany(t *testing.T) {
	defer crowd(10, pprof.Labels(), waitBorn)()
	surveyor := goroutines.NewSurveyor(goroutines.Config{MaxGoroutines: 10})
	if s, err := surveyor.Take(t.Context()); !errors.Is(err, goroutines.ErrTooMany) || s != nil {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestTakeHeedsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := goroutines.NewSurveyor(goroutines.Config{}).Take(ctx); !errors.Is(err, context.Canceled) || s != nil {
		t.Errorf("got %v, %v", s, err)
	}
}

//go:linkname setLabels runtime/pprof.runtime_setProfLabel
func setLabels(unsafe.Pointer)

// Libraries that keep "goroutine locals" where the labels are make the profiler
// panic (timandy/routine#4).
func TestCorruptLabels(t *testing.T) {
	type labels struct { // as in runtime/pprof, but for the string
		list []struct{ key, value struct{ data, n uintptr } }
	}
	corrupt := &labels{list: make([]struct{ key, value struct{ data, n uintptr } }, 1)}
	corrupt.list[0].key.n = 10 // bytes at address 0
	c, ready, done := make(chan int), make(chan int), make(chan int)
	go func() {
		defer close(done)
		setLabels(unsafe.Pointer(corrupt))
		close(ready)
		<-c
		setLabels(nil)
	}()
	<-ready
	surveyor := goroutines.NewSurveyor(goroutines.Config{})
	s, err := surveyor.Take(t.Context())
	close(c)
	<-done
	if !errors.Is(err, goroutines.ErrProfiler) || s != nil {
		t.Errorf("got %v, %v", s, err)
	}
	if _, err := surveyor.Take(t.Context()); !errors.Is(err, goroutines.ErrProfiler) {
		t.Errorf("afterwards: %v", err)
	}
	take(t) // but the runtime is well
}

func TestSurveyIsSmall(t *testing.T) {
	defer crowd(10_000, pprof.Labels("route", "/cart"), waitBorn)()
	s := take(t)
	before := heap()
	surveys := make([]*goroutines.Survey, 20)
	for i := range surveys {
		surveys[i] = take(t)
	}
	if held := (heap() - before) / len(surveys); held > 64<<10 {
		t.Errorf("a survey of %d groups holds %d bytes", len(s.Groups), held)
	}
	runtime.KeepAlive(surveys)
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// The world stops twice for a survey, for a time that does not depend on the
// number of goroutines. debug=2 would stop it for 80 ms here.
func TestSurveyHardlyPauses(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("it is about time")
	}
	defer crowd(10_000, pprof.Labels(), waitBorn)()
	const limit = time.Millisecond
	var median time.Duration
	for range 5 { // on a busy machine a thread may be late to stop
		pauses := make([]time.Duration, 9)
		for i := range pauses {
			pauses[i] = longestPause(func() { take(t) })
		}
		slices.Sort(pauses)
		if median = pauses[len(pauses)/2]; median < limit {
			t.Log("longest pause", median)
			return
		}
	}
	t.Errorf("a survey of 10,000 goroutines pauses the process for up to %v, want less than %v", median, limit)
}

// longestPause returns the longest stop of the world while f runs, but for the
// garbage collector's: the upper bound of the runtime's bucket.
func longestPause(f func()) time.Duration {
	before := pauses()
	f()
	after := pauses()
	for i, n := range slices.Backward(after.Counts) {
		if i < len(before.Counts) && n > before.Counts[i] {
			return time.Duration(min(after.Buckets[i+1], math.MaxInt32) * float64(time.Second))
		}
	}
	return 0
}

func pauses() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64Histogram()
}

func BenchmarkTake(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run("goroutines="+strconv.Itoa(n), func(b *testing.B) {
			defer crowd(n, pprof.Labels("route", "/cart", "epoch", "7"), func(c <-chan int) { descend(8, c) })()
			surveyor := goroutines.NewSurveyor(goroutines.Config{RootLabel: "route", EpochLabel: "epoch"})
			var cpu time.Duration
			var pauses []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				pauses = append(pauses, longestPause(func() {
					s, err := surveyor.Take(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					cpu += s.CPU
				}))
			}
			b.ReportMetric(float64(cpu)/float64(b.N)/float64(n), "cpu-ns/goroutine")
			slices.Sort(pauses)
			b.ReportMetric(float64(pauses[len(pauses)/2].Microseconds()), "median-pause-µs")
			b.ReportMetric(float64(pauses[len(pauses)-1].Microseconds()), "max-pause-µs")
		})
	}
}

// Surveys of a quiet process: what the Governor takes as the base.
func BenchmarkTakeNobody(b *testing.B) {
	surveyor := goroutines.NewSurveyor(goroutines.Config{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := surveyor.Take(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
