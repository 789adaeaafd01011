package exectrace_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// crowd starts n goroutines in each of several waits, and returns what ends them.
func crowd(t testing.TB, n int) (release func()) {
	t.Helper()
	var wg sync.WaitGroup
	stop, never := make(chan struct{}), make(chan int)
	var mu sync.Mutex
	var cond sync.WaitGroup
	mu.Lock()
	cond.Add(1)
	ctx, cancel := context.WithCancel(t.Context())
	here, there := net.Pipe()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { _, _ = l.Accept() })
	wg.Go(func() { _, _ = there.Read(make([]byte, 1)) })
	for range n {
		wg.Go(func() { <-stop })
		wg.Go(func() {
			select {
			case <-never:
			case <-ctx.Done():
			}
		})
		wg.Go(func() { mu.Lock(); defer mu.Unlock() })
		wg.Go(cond.Wait)
		wg.Go(func() { deep(20, stop) })
	}
	return func() {
		close(stop)
		cancel()
		mu.Unlock()
		cond.Done()
		here.Close()
		l.Close()
		wg.Wait()
	}
}

//go:noinline
func deep(n int, stop <-chan struct{}) int {
	if n > 0 {
		return deep(n-1, stop) + 1
	}
	<-stop
	return 0
}

// A roll call and a survey see the same goroutines in the same groups, whether
// they were there before the recording or come and go meanwhile.
func TestRollCallAgreesWithTheSurvey(t *testing.T) {
	const n = 50
	defer crowd(t, n)()
	r := newRecorder(t, exectrace.Config{})
	surveyor := goroutines.NewSurveyor(goroutines.Config{})
	eventually(t, func() error {
		roll, err := r.RollCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		survey, err := surveyor.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return same(count(t, roll), survey, 7)
	})
}

// count counts members by group, and fails where one is named twice.
func count(t *testing.T, roll []goroutines.Member) map[goroutines.Key]int {
	t.Helper()
	seen, groups := map[uint64]bool{}, map[goroutines.Key]int{}
	for i := range roll {
		if seen[roll[i].ID] {
			t.Errorf("goroutine %d is there twice", roll[i].ID)
		}
		seen[roll[i].ID] = true
		if k, ok := roll[i].Key(); ok {
			groups[k]++
		}
	}
	return groups
}

// same says how a roll and a survey differ, but for those that run.
func same(roll map[goroutines.Key]int, survey *goroutines.Survey, atLeast int) error {
	groups := 0
	for i := range survey.Groups {
		g := &survey.Groups[i]
		if g.Class == goroutines.Running {
			continue
		}
		groups++
		if roll[g.Key] != g.Count {
			return fmt.Errorf("%d in the roll, %d in the survey: %v", roll[g.Key], g.Count, g.Key)
		}
		delete(roll, g.Key)
	}
	for k, n := range roll {
		if k.Class != goroutines.Running {
			return fmt.Errorf("%d in the roll, none in the survey: %v", n, k)
		}
	}
	if groups < atLeast {
		return fmt.Errorf("only %d groups", groups)
	}
	return nil
}

// Ids last: who is there twice has the same one, and who is gone is not there.
func TestRollCallTellsWhoStays(t *testing.T) {
	r := newRecorder(t, exectrace.Config{})
	call := func() map[uint64]bool {
		roll, err := r.RollCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ids := map[uint64]bool{}
		for i := range roll {
			for _, s := range roll[i].Stack {
				if s.Function == "github.com/gmpulse/gmpulse/tracectx/exectrace_test.deep" {
					ids[roll[i].ID] = true
				}
			}
		}
		return ids
	}
	releaseFirst := crowd(t, 5)
	var first, both, second map[uint64]bool
	eventually(t, func() error { first = call(); return wantIDs(first, 5) })
	releaseSecond := crowd(t, 4)
	eventually(t, func() error { both = call(); return wantIDs(both, 9) })
	releaseFirst()
	eventually(t, func() error { second = call(); return wantIDs(second, 4) })
	releaseSecond()
	for id := range first {
		if !both[id] || second[id] {
			t.Errorf("goroutine %d: there with the second crowd %v, after the first has gone %v", id, both[id], second[id])
		}
	}
}

func wantIDs(got map[uint64]bool, n int) error {
	if len(got) != n {
		return fmt.Errorf("%d goroutines, want %d", len(got), n)
	}
	return nil
}

// eventually asks until it is so: goroutines take a moment to get where they wait.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		runtime.Gosched()
		time.Sleep(5 * time.Millisecond)
	}
}

func BenchmarkRollCall(b *testing.B) {
	for _, n := range []int{20, 200, 2000} {
		b.Run(fmt.Sprintf("goroutines=%d", 5*n), func(b *testing.B) {
			defer crowd(b, n)()
			r := newRecorder(b, exectrace.Config{})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.RollCall(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(5*n), "ns/goroutine")
		})
	}
}
