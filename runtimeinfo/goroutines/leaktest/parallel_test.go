// SPDX-License-Identifier: Apache-2.0

package leaktest_test

import (
	"context"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest"
)

// parallel is a test that runs step by step beside others.
type parallel struct {
	steps chan func()
	ended chan string
}

// start starts a test with Check on another goroutine.
func start(t *testing.T, name string, options ...leaktest.Option) *parallel {
	t.Helper()
	p := &parallel{make(chan func()), make(chan string)}
	r := &recorder{TB: t, name: name}
	go func() {
		leaktest.Check(r, append([]leaktest.Option{soon()}, options...)...)
		for step := range p.steps {
			step()
		}
		p.ended <- r.end()
	}()
	p.do(func() {})
	return p
}

// do runs f on the goroutine of the test.
func (p *parallel) do(f func()) {
	done := make(chan struct{})
	p.steps <- func() { f(); close(done) }
	<-done
}

// end ends the test and returns its failures.
func (p *parallel) end() string {
	close(p.steps)
	return <-p.ended
}

// gone waits until no goroutine is in the function. A goroutine that ends still exists for a moment
// and counts as a creator.
func gone(t *testing.T, function string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for b := make([]byte, 1<<20); strings.Contains(string(b[:runtime.Stack(b, true)]), function); {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not end", function)
		}
		runtime.Gosched()
	}
}

func TestParallel(t *testing.T) {
	spawn := map[string]func(stop <-chan struct{}){
		"itself": func(stop <-chan struct{}) { go wait(stop) },
		"through a goroutine that has ended": func(stop <-chan struct{}) {
			done := make(chan struct{})
			go func() { go wait(stop); close(done) }()
			<-done
		},
		"under other labels": func(stop <-chan struct{}) {
			pprof.Do(context.Background(), pprof.Labels("a", "b"), func(context.Context) { go wait(stop) })
		},
		"under other labels through a goroutine": func(stop <-chan struct{}) {
			started := make(chan struct{})
			go func() {
				pprof.Do(context.Background(), pprof.Labels("a", "b"), func(context.Context) { go wait(stop) })
				close(started)
				<-stop
			}()
			<-started
		},
	}
	for name, leak := range spawn {
		t.Run(name, func(t *testing.T) {
			stop := make(chan struct{})
			defer close(stop)
			first, leaky, last := start(t, "TestFirst"), start(t, "TestLeaky"), start(t, "TestLast")
			leaky.do(func() { leak(stop) })
			if got := first.end(); got != "" {
				t.Errorf("a goroutine of another test is reported: %s", got)
			}
			got := leaky.end()
			contains(t, got, "leaktest_test.wait")
			if got := last.end(); got != "" {
				t.Errorf("a goroutine of another test is reported: %s", got)
			}
		})
	}
}

// A goroutine of a timer has no labels and no creator. The last of the tests that may have started
// it reports it, even if that test began after the goroutine.
func TestLastParallelTestReportsUnclaimed(t *testing.T) {
	stop, started := make(chan struct{}), make(chan struct{})
	first, second := start(t, "TestFirst"), start(t, "TestSecond")
	first.do(func() { time.AfterFunc(0, unclaimed(started, stop)) })
	<-started
	if got := first.end(); got != "" {
		t.Errorf("TestFirst reports a goroutine that may belong to TestSecond: %s", got)
	}
	third := start(t, "TestThird")
	if got := second.end(); got != "" {
		t.Errorf("TestSecond reports a goroutine that may belong to TestThird: %s", got)
	}
	contains(t, third.end(), "1 in chan receive at", "created by time.goFunc", "perhaps started by another test that ran at the same time: TestSecond")

	later := start(t, "TestLater")
	if got := later.end(); got != "" {
		t.Errorf("reported again: %s", got)
	}
	close(stop)
}

// unclaimed returns a function that waits for stop. It is not inlined into a test, where its name
// would begin with the name of the test.
//
//go:noinline
func unclaimed(started chan<- struct{}, stop <-chan struct{}) func() {
	return func() { close(started); <-stop }
}

// A server that existed before the tests starts a goroutine for one of them.
func TestSharedServer(t *testing.T) {
	stop, requests := make(chan struct{}), make(chan struct{})
	defer close(stop)
	defer close(requests)
	started := make(chan struct{})
	go func() { startServer(requests, stop); close(started) }()
	<-started
	gone(t, "leaktest_test.TestSharedServer.func1(")
	test := start(t, "TestClient")
	test.do(func() { requests <- struct{}{}; requests <- struct{}{} })
	contains(t, test.end(), "2 in chan receive at", "leaktest_test.serve (parallel_test.go:")
}

//go:noinline
func startServer(requests <-chan struct{}, stop <-chan struct{}) { go serve(requests, stop) }

func serve(requests <-chan struct{}, stop <-chan struct{}) {
	for range requests {
		go wait(stop)
	}
}

// A goroutine that a test left and ignores may work for other tests.
func TestIgnoredWorkerOfEarlierTest(t *testing.T) {
	stop, requests := make(chan struct{}), make(chan struct{})
	defer close(stop)
	defer close(requests)
	const worker = "github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest_test.serve"
	over := start(t, "TestOver", leaktest.IgnoreEntry(worker))
	over.do(func() { startServer(requests, stop) })
	if got := over.end(); got != "" {
		t.Error(got)
	}
	gone(t, "leaktest_test.start.func1(")
	test := start(t, "TestClient")
	test.do(func() { requests <- struct{}{}; requests <- struct{}{} })
	contains(t, test.end(), "2 in chan receive at")
}
