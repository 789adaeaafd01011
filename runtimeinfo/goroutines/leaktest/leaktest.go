// SPDX-License-Identifier: Apache-2.0

// Package leaktest finds leaked goroutines in tests, in one test or in a package:
//
//	func TestCheckout(t *testing.T) {
//		leaktest.Check(t)
//		...
//	}
//
//	func TestMain(m *testing.M) { leaktest.Main(m) }
//
// A test fails if goroutines that it started still run when it is over. The message has
// their state, the place where they wait, the function that created them, and the root
// span that they were created under if the program has gmpulse's span processor.
//
// # Parallel tests
//
// Tests with [Check] may run in parallel. Check sets a profiler label on the goroutine of
// its test, which all goroutines that descend from it inherit.
//
// A goroutine can lose the label, because pprof.Do and pprof.SetGoroutineLabels replace
// all labels, or never have one, because time.AfterFunc or a server that several tests
// share created it. Check then follows its creators as long as they run, and looks for
// a test function in their stacks. If the test stays unknown, the last test to end among
// those that ran at the same time reports the goroutine and names the other tests.
//
// # Coming from goleak
//
// Replace goleak.VerifyTestMain by [Main], and a deferred goleak.VerifyNone by Check at
// the start of the test. Unlike VerifyNone, Check ignores goroutines that ran before it,
// and works in parallel tests. Replace goleak.IgnoreTopFunction and
// goleak.IgnoreAnyFunction by [IgnoreFunction]. In place of goleak.Cleanup, give Main an m
// whose Run method calls testing.M.Run and cleans up.
//
// # Cost
//
// Each look at the goroutines stops the world while their stacks are printed:
// BenchmarkDump takes some 8 µs of CPU per goroutine on a busy machine with 2 vCPUs. A
// test without leaks needs two looks. While it looks, the package adds
// tracebacklabels=1 to the environment variable GODEBUG, without which Go prints no
// labels (Go 1.26, and modules of that version), and restores it.
package leaktest

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

// Check makes t fail if goroutines that t started, itself or through other
// goroutines, still run when t is over. Call it first: Check ignores goroutines that run
// already, and it looks before cleanups that were registered earlier are called.
//
// Goroutines have 2 s to end unless [Wait] says otherwise. Those of the runtime, of
// the testing package and of os/signal are ignored. Subtests may have a Check of
// their own, which then answers for their goroutines. Check may be called by parallel
// tests, and in a synctest bubble.
func Check(t testing.TB, options ...Option) {
	t.Helper()
	c, err := checks.begin(t.Name(), newConfig(options))
	if err != nil {
		t.Fatalf("leaktest: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		left, err := settle(c.config.wait, c.look)
		switch {
		case err != nil:
			t.Errorf("leaktest: whether goroutines are left is unknown: %v", err)
		case len(left) > 0:
			t.Error(message(left, "the test", c.config.wait))
		}
	})
}

// Main runs the tests of m and ends the process, with the exit code of m, or with
// code 1 and a message on standard error if the tests passed and left goroutines.
// Call it in TestMain:
//
//	func TestMain(m *testing.M) { leaktest.Main(m) }
//
// Main ignores the goroutines of the runtime, of the testing package and of os/signal. It
// reports goroutines that were started before Main, in TestMain or when a package was
// initialized, unless [IgnoreCurrent] is among the options. It looks when all tests are
// over, whether or not they run in parallel. The message names the test that started a
// goroutine if a label, the stack or the creator shows it.
//
// m is a *testing.M or a type that runs one. Main ends the process without calling
// deferred functions of TestMain; put the clean-up into a Run method of your own.
//
// Like goleak.VerifyTestMain, Main does not look when tests have failed, because a failed
// test may skip its clean-up. Unlike it, Main reports equal goroutines as one entry with
// their number, and waits 2 s by default ([Wait]), not 0.4 s.
func Main(m interface{ Run() int }, options ...Option) {
	os.Exit(run(m, newConfig(options), os.Stderr)) //nolint:forbidigo // TestMain ends the process, which is what Main is for
}

// run is Main without the end of the process.
func run(m interface{ Run() int }, c config, messages io.Writer) (code int) {
	older, err := dump(c.limit)
	if err != nil {
		fmt.Fprintf(messages, "leaktest: %v\n", err)
		return 1
	}
	before := identities(older)
	if code = m.Run(); code != 0 {
		return code
	}
	left, err := settle(c.wait, func(bool) ([]leftover, error) { return checks.remaining(c, before) })
	switch {
	case err != nil:
		fmt.Fprintf(messages, "leaktest: whether goroutines are left is unknown: %v\n", err)
	case len(left) > 0:
		fmt.Fprintln(messages, message(left, "the tests", c.wait))
	default:
		return 0
	}
	return 1
}

// settle calls look until nothing is left or the time to wait is over, when it passes
// true. It returns the result of the last call.
func settle(wait time.Duration, look func(last bool) ([]leftover, error)) ([]leftover, error) {
	deadline := time.Now().Add(wait)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		remaining := time.Until(deadline)
		left, err := look(remaining <= 0)
		if remaining <= 0 || err == nil && len(left) == 0 {
			return left, err
		}
		timer := time.NewTimer(min(pause, remaining))
		<-timer.C
	}
}
