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

	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// startMany starts n goroutines that wait in f, with labels. release ends them.
func startMany(n int, labels pprof.LabelSet, f func(<-chan int)) (release func()) {
	c := make(chan int)
	var wg sync.WaitGroup
	pprof.Do(context.Background(), labels, func(context.Context) {
		for range n {
			wg.Go(func() { f(c) })
		}
	})
	return func() { close(c); wg.Wait() }
}

func waitLabelled(c <-chan int) { <-c }
func waitAgent(c <-chan int)    { <-c }
func waitDeep(c <-chan int)     { descend(200, c) }

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
		defer startMany(l.n, l.labels, waitLabelled)()
	}
	want := []goroutines.Origin{
		{Root: "/cart", Epoch: "7", Count: 5},
		{Root: "/cart", Epoch: "8", Count: 3},
		{Root: "/pay", Epoch: "8", Count: 3},
		{Epoch: "8", Count: 2},
		{Count: 1},
	}
	surveyor := goroutines.NewSurveyor(goroutines.SurveyConfig{RootLabel: "route", EpochLabel: "epoch"})
	var got goroutines.Group
	testutil.Retry(t, func() error {
		s, err := surveyor.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if g := groupAt(s, packagePath+"waitLabelled"); g != nil {
			got = *g
		}
		if got.Count != 14 || !slices.Equal(got.Origins, want) {
			return fmt.Errorf("got %d with origins %v; want 14 with %v", got.Count, got.Origins, want)
		}
		return nil
	})
}

func TestSurveyExcludesAgent(t *testing.T) {
	defer startMany(4, pprof.Labels("gmpulse", "tick"), waitAgent)()
	defer startMany(2, pprof.Labels("mine", "x"), waitAgent)()
	surveyor := goroutines.NewSurveyor(goroutines.SurveyConfig{})
	var s *goroutines.Survey
	testutil.Retry(t, func() error {
		var err error
		if s, err = surveyor.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		g := groupAt(s, packagePath+"waitAgent")
		// The goroutine of the test takes the survey and counts as the agent's too.
		if g == nil || g.Count != 2 || s.Agent != 4+1 || s.Goroutines+s.Agent != runtime.NumGoroutine() {
			return fmt.Errorf("%d of the agent, %d others, %d in all", s.Agent, s.Goroutines, runtime.NumGoroutine())
		}
		return nil
	})
	for _, g := range s.Groups {
		for _, f := range g.Stack {
			if f.Function == "runtime/pprof.writeGoroutine" {
				t.Errorf("the survey contains itself: %v", g.Key)
			}
		}
	}
}

// Surveys exclude goroutines that wait for another survey.
func TestConcurrentSurveys(t *testing.T) {
	surveyor := goroutines.NewSurveyor(goroutines.SurveyConfig{})
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

func TestSurveyIsSorted(t *testing.T) {
	defer startMany(400, pprof.Labels(), waitLabelled)()
	defer startMany(300, pprof.Labels(), waitAgent)()
	testutil.Retry(t, func() error {
		s := take(t)
		if s.Groups[0].Count != 400 || s.Groups[1].Count != 300 || s.Rest != 0 {
			return fmt.Errorf("groups: %v, %d in others", s.Groups, s.Rest)
		}
		if g := s.Get(s.Groups[1].Key); g != &s.Groups[1] {
			t.Errorf("Get returns %v", g)
		}
		if g := s.Get(goroutines.Key{}); g != nil {
			t.Errorf("Get returns %v for an unknown key", g)
		}
		return nil
	})
}

// The entry of a stack deeper than the profiler records is unknown.
func TestDeepStackHasNoEntry(t *testing.T) {
	defer startMany(2, pprof.Labels(), waitDeep)()
	var got goroutines.Group
	testutil.Eventually(t, "two goroutines have deep stacks", func() bool {
		if g := groupAt(take(t), packagePath+"descend"); g != nil {
			got = *g
		}
		return got.Count == 2
	})
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
	testutil.Eventually(t, "a goroutine has a deep stack", func() bool {
		if g := groupAt(take(t), packagePath+"descend"); g != nil {
			got = *g
		}
		return got.Count == 1
	})
	if last := got.Stack[len(got.Stack)-1].Function; len(got.Stack) != 48 || last != got.Entry {
		t.Errorf("%d frames down to %s, want 48 down to %s", len(got.Stack), last, got.Entry)
	}
}

func TestTakeRefusesTooMany(t *testing.T) {
	defer startMany(10, pprof.Labels(), waitLabelled)()
	surveyor := goroutines.NewSurveyor(goroutines.SurveyConfig{})
	surveyor.Limit(10)
	if s, err := surveyor.Take(t.Context()); !errors.Is(err, goroutines.ErrTooMany) || s != nil {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestTakeReturnsContextError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := goroutines.NewSurveyor(goroutines.SurveyConfig{}).Take(ctx); !errors.Is(err, context.Canceled) || s != nil {
		t.Errorf("got %v, %v", s, err)
	}
}

//go:linkname setLabels runtime/pprof.runtime_setProfLabel
func setLabels(unsafe.Pointer)

// Libraries that store "goroutine locals" in place of the labels make the profiler panic
// (timandy/routine#4).
func TestCorruptLabels(t *testing.T) {
	type labels struct { // as in runtime/pprof, with corrupt strings
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
	surveyor := goroutines.NewSurveyor(goroutines.SurveyConfig{})
	s, err := surveyor.Take(t.Context())
	close(c)
	<-done
	if !errors.Is(err, profiles.ErrProfiler) || s != nil {
		t.Errorf("got %v, %v", s, err)
	}
	if _, err := surveyor.Take(t.Context()); !errors.Is(err, profiles.ErrProfiler) {
		t.Errorf("afterwards: %v", err)
	}
	take(t) // another surveyor still works
}

func TestSurveyIsSmall(t *testing.T) {
	defer startMany(10_000, pprof.Labels("route", "/cart"), waitLabelled)()
	s := take(t)
	before := testutil.HeapAlloc()
	surveys := make([]*goroutines.Survey, 20)
	for i := range surveys {
		surveys[i] = take(t)
	}
	if held := (testutil.HeapAlloc() - before) / int64(len(surveys)); held > 64<<10 {
		t.Errorf("a survey of %d groups holds %d bytes", len(s.Groups), held)
	}
	runtime.KeepAlive(surveys)
}

// A survey stops the world for a time that does not depend on the number of goroutines. With
// debug=2 it would be 80 ms here.
func TestSurveyPausesBriefly(t *testing.T) {
	if testing.Short() || testutil.RaceEnabled {
		t.Skip("depends on time")
	}
	defer startMany(10_000, pprof.Labels(), waitLabelled)()
	const limit = time.Millisecond
	var median time.Duration
	for range 5 { // a busy machine may delay a thread
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

// longestPause returns the longest pause while f runs, except for the garbage collector, as the
// upper bound of the runtime's bucket.
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
			defer startMany(n, pprof.Labels("route", "/cart", "epoch", "7"), func(c <-chan int) { descend(8, c) })()
			surveyor := goroutines.NewSurveyor(goroutines.SurveyConfig{RootLabel: "route", EpochLabel: "epoch"})
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

// The cost without goroutines, see cputime.ProfileBase.
func BenchmarkTakeEmpty(b *testing.B) {
	surveyor := goroutines.NewSurveyor(goroutines.SurveyConfig{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := surveyor.Take(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
