// SPDX-License-Identifier: Apache-2.0

package goroutines_test

import (
	"bytes"
	"errors"
	"io"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// Goroutines in these functions leak until the process ends.

func leakSend(c chan<- int)    { c <- 1 }
func leakAnother(c <-chan int) { <-c }

func TestHasLeakProfile(t *testing.T) {
	if got := goroutines.HasLeakProfile(); got != wantLeakProfile {
		t.Errorf("got %v, want %v", got, wantLeakProfile)
	}
}

func TestNoLeakProfile(t *testing.T) {
	if goroutines.HasLeakProfile() {
		t.Skip("this runtime has leak profiles")
	}
	var b bytes.Buffer
	if err := goroutines.WriteLeakProfile(t.Context(), &b, take(t)); !errors.Is(err, goroutines.ErrNoLeakProfile) || b.Len() > 0 {
		t.Errorf("got %v, %d bytes", err, b.Len())
	}
	p := goroutines.NewLeakProfiler(time.Minute)
	if err := p.Take(t.Context(), take(t)); !errors.Is(err, goroutines.ErrNoLeakProfile) || p.Leaked(goroutines.Key{}) != 0 {
		t.Errorf("got %v, %d leaked", err, p.Leaked(goroutines.Key{}))
	}
}

func needLeakProfile(t *testing.T) {
	t.Helper()
	if !goroutines.HasLeakProfile() {
		t.Skip("this runtime has no leak profiles")
	}
}

// leaksOf takes a leak profile. last is a recent survey.
func leaksOf(t *testing.T, c goroutines.SurveyConfig, last *goroutines.Survey) *goroutines.Survey {
	t.Helper()
	var b bytes.Buffer
	if err := goroutines.WriteLeakProfile(t.Context(), &b, last); err != nil {
		t.Fatal(err)
	}
	s, err := goroutines.ParseSurvey(b.Bytes(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLeakProfile(t *testing.T) {
	needLeakProfile(t)
	reachable := make(chan int)
	var wg sync.WaitGroup
	wg.Go(func() { waitReceive(reachable) })
	defer wg.Wait()
	defer close(reachable)
	earlier := waiting(t, "leakSend")
	for range 5 {
		go leakSend(make(chan int))
	}
	s, k := surveyAt(t, "leakSend", earlier+5)
	leaks := leaksOf(t, goroutines.SurveyConfig{}, s)
	if g := groupAt(leaks, packagePath+"leakSend"); g == nil || g.Key != k || g.Count != earlier+5 {
		t.Fatalf("%v leaks, got %v", k, leaks.Groups)
	}
	if g := groupAt(leaks, packagePath+"waitReceive"); g != nil {
		t.Errorf("%v does not leak", g.Key)
	}
}

// A goroutine counts as leaked if the last two profiles contain it.
func TestTwoLeakProfilesMustAgree(t *testing.T) {
	needLeakProfile(t)
	earlier := waiting(t, "leakSend")
	for range 5 {
		go leakSend(make(chan int))
	}
	p := goroutines.NewLeakProfiler(time.Nanosecond)
	s, k := surveyAt(t, "leakSend", earlier+5)
	if err := p.Take(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if n := p.Leaked(k); n != 0 {
		t.Errorf("%d leaked after one profile", n)
	}
	for range 3 {
		go leakSend(make(chan int))
	}
	s, _ = surveyAt(t, "leakSend", earlier+8) // surveys contain leaked ones
	if err := p.Take(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if n := p.Leaked(k); n != earlier+5 {
		t.Errorf("%d leaked after profiles of %d and %d", n, earlier+5, earlier+8)
	}
}

// waiting returns how many goroutines of earlier runs of the test wait in the function.
func waiting(t *testing.T, function string) int {
	t.Helper()
	if g := groupAt(take(t), packagePath+function); g != nil {
		return g.Count
	}
	return 0
}

// surveyAt takes surveys until n goroutines wait in the function.
func surveyAt(t *testing.T, function string, n int) (s *goroutines.Survey, k goroutines.Key) {
	t.Helper()
	testutil.Eventually(t, "the goroutines wait in "+function, func() bool {
		s = take(t)
		g := groupAt(s, packagePath+function)
		if g == nil || g.Count != n {
			return false
		}
		k = g.Key
		return true
	})
	return s, k
}

func TestLeakProfilerCooldown(t *testing.T) {
	needLeakProfile(t)
	p := goroutines.NewLeakProfiler(time.Minute)
	s := take(t)
	var taken, refused atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			switch err := p.Take(t.Context(), s); {
			case err == nil:
				taken.Add(1)
			case errors.Is(err, goroutines.ErrTooSoon):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if taken.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d taken, %d refused; want 1 and 7", taken.Load(), refused.Load())
	}
}

func TestLeakProfileRefusesManyWaitersOfALock(t *testing.T) {
	needLeakProfile(t)
	var mu sync.Mutex
	var wg sync.WaitGroup
	mu.Lock()
	for range 1001 {
		wg.Go(func() { waitMutex(&mu) })
	}
	defer wg.Wait()
	defer mu.Unlock()
	s, _ := surveyAt(t, "waitMutex", 1001)
	if err := goroutines.WriteLeakProfile(t.Context(), io.Discard, s); !errors.Is(err, goroutines.ErrTooCostly) {
		t.Errorf("got %v", err)
	}
}

func TestLeakProfileHasOrigins(t *testing.T) {
	needLeakProfile(t)
	earlier := waiting(t, "leakAnother")
	for range 2 {
		startMany(1, pprof.Labels("route", "/cart"), func(<-chan int) { leakAnother(make(chan int)) })
	}
	s, _ := surveyAt(t, "leakAnother", earlier+2)
	g := groupAt(leaksOf(t, goroutines.SurveyConfig{RootLabel: "route"}, s), packagePath+"leakAnother")
	if g == nil || len(g.Origins) != 1 || g.Origins[0] != (goroutines.Origin{Root: "/cart", Count: earlier + 2}) {
		t.Errorf("got %+v", g)
	}
}
