// SPDX-License-Identifier: Apache-2.0

package goroutines_test

import (
	"errors"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// These leak for good: that is the point.

func leakSend(c chan<- int)    { c <- 1 }
func leakAnother(c <-chan int) { <-c }

func TestProvable(t *testing.T) {
	if got := goroutines.Provable(); got != wantProvable {
		t.Errorf("got %v, want %v", got, wantProvable)
	}
}

func TestUnprovable(t *testing.T) {
	if goroutines.Provable() {
		t.Skip("this runtime can")
	}
	p := goroutines.NewProver(goroutines.ProverConfig{})
	s, err := p.Prove(t.Context(), take(t))
	if !errors.Is(err, goroutines.ErrUnprovable) || s != nil {
		t.Errorf("got %v, %v", s, err)
	}
	if n := p.Proven(goroutines.Key{}); n != 0 {
		t.Errorf("%d proven", n)
	}
}

func needProof(t *testing.T) {
	t.Helper()
	if !goroutines.Provable() {
		t.Skip("this runtime cannot prove leaks")
	}
}

func TestProof(t *testing.T) {
	needProof(t)
	reachable := make(chan int)
	var wg sync.WaitGroup
	wg.Go(func() { waitReceive(reachable) })
	defer wg.Wait()
	defer close(reachable)
	earlier := waiting(t, "leakSend")
	for range 5 {
		go leakSend(make(chan int))
	}
	p := goroutines.NewProver(goroutines.ProverConfig{Cooldown: time.Nanosecond})
	s, k := surveyAt(t, "leakSend", earlier+5)
	proof, err := p.Prove(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if g := proof.Get(k); g == nil || g.Count != earlier+5 {
		t.Fatalf("%v leaks, got %v", k, proof.Groups)
	}
	if g := groupAt(proof, packagePath+"waitReceive"); g != nil {
		t.Errorf("%v does not leak", g.Key)
	}
	if n := p.Proven(k); n != 0 {
		t.Errorf("%d proven by one proof", n)
	}

	for range 3 {
		go leakSend(make(chan int))
	}
	if s, _ = surveyAt(t, "leakSend", earlier+8); s.Get(k).Count != earlier+8 { // also those that are proven
		t.Errorf("%d wait after the proof", s.Get(k).Count)
	}
	if _, err := p.Prove(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if n := p.Proven(k); n != earlier+5 {
		t.Errorf("%d proven by proofs of %d and %d", n, earlier+5, earlier+8)
	}
}

// waiting returns how many wait in the function already: those of an earlier
// run of the test.
func waiting(t *testing.T, function string) int {
	t.Helper()
	if g := groupAt(take(t), packagePath+function); g != nil {
		return g.Count
	}
	return 0
}

// surveyAt takes surveys until n wait in the function.
func surveyAt(t *testing.T, function string, n int) (s *goroutines.Survey, k goroutines.Key) {
	t.Helper()
	eventually(t, func() bool {
		s = take(t)
		g := groupAt(s, packagePath+function)
		if g == nil || g.Count != n {
			return false
		}
		k = g.Key
		return true
	}, func() string { return "too few wait" })
	return s, k
}

func TestProofsAreRare(t *testing.T) {
	needProof(t)
	p := goroutines.NewProver(goroutines.ProverConfig{})
	s := take(t)
	var proofs, refused atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			switch _, err := p.Prove(t.Context(), s); {
			case err == nil:
				proofs.Add(1)
			case errors.Is(err, goroutines.ErrProofTooSoon):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if proofs.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d proofs, %d refused; want 1 and 7", proofs.Load(), refused.Load())
	}
}

func TestProofRefusesACrowdAtALock(t *testing.T) {
	needProof(t)
	var mu sync.Mutex
	var wg sync.WaitGroup
	mu.Lock()
	for range 1001 {
		wg.Go(func() { waitMutex(&mu) })
	}
	defer wg.Wait()
	defer mu.Unlock()
	s, _ := surveyAt(t, "waitMutex", 1001)
	proof, err := goroutines.NewProver(goroutines.ProverConfig{}).Prove(t.Context(), s)
	if !errors.Is(err, goroutines.ErrProofTooDear) || proof != nil {
		t.Errorf("got %v, %v", proof, err)
	}
}

func TestLeaksHaveBirths(t *testing.T) {
	needProof(t)
	c := goroutines.Config{RootLabel: "route"}
	earlier := waiting(t, "leakAnother")
	for range 2 {
		crowd(1, pprof.Labels("route", "/cart"), func(<-chan int) { leakAnother(make(chan int)) })
	}
	s, k := surveyAt(t, "leakAnother", earlier+2)
	proof, err := goroutines.NewProver(goroutines.ProverConfig{Config: c}).Prove(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	g := proof.Get(k)
	if g == nil || len(g.Births) != 1 || g.Births[0] != (goroutines.Birth{Root: "/cart", Count: earlier + 2}) {
		t.Errorf("got %+v", g)
	}
}
