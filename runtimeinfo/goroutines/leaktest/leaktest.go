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
// A test fails if goroutines that it started still exist when it ends. The message has their state,
// the place where they wait, the function that created them, and the root span under which they
// were created if the program has gmpulse's span processor.
//
// # Parallel tests
//
// Tests with [Check] may run in parallel. Check sets a profiler label on the goroutine of its test,
// which the goroutines created from it inherit.
//
// A goroutine can lose the label, because pprof.Do and pprof.SetGoroutineLabels replace all labels,
// or have none, because time.AfterFunc or a server shared by tests created it. Check then follows
// its creators while they exist, and looks for a test function in their stacks. If the test remains
// unknown, the last test to end among those that ran at the same time reports the goroutine and
// names the other tests.
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
// Check prints the stacks of all goroutines, which stops the world: BenchmarkDump takes about 8 µs
// of CPU per goroutine on a busy machine with 2 vCPUs. A test without leaks needs this twice.
// Meanwhile the package adds tracebacklabels=1 to the environment variable GODEBUG, without which
// Go 1.26 prints no labels, and then restores it.
package leaktest

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

// Check makes t fail if goroutines that t started, directly or through other goroutines, still
// exist when t ends. Call it first: Check ignores goroutines that exist already, and it runs before
// cleanups that were registered earlier.
//
// Goroutines have 2 s to end; [Wait] changes that. Check ignores goroutines of the runtime, the
// testing package and os/signal. A subtest may call Check too, which then reports its goroutines.
// Parallel tests and tests in a synctest bubble may call Check.
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
			t.Errorf("leaktest: cannot list the goroutines: %v", err)
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
// Main ignores goroutines of the runtime, the testing package and os/signal. It reports goroutines
// that were started before Main, in TestMain or by the initialization of a package, unless
// [IgnoreCurrent] is among the options. It checks once all tests have ended. The message names the
// test that started a goroutine if a label, the stack or the creator shows it.
//
// m is a *testing.M or a type that runs one. Main ends the process without calling deferred
// functions of TestMain; clean up in a Run method of your own type.
//
// Like goleak.VerifyTestMain, Main does not check after failed tests, because these may skip their
// cleanup. Unlike it, Main reports equal goroutines as one entry with their number, and waits for
// 2 s by default ([Wait]), not 0.4 s.
func Main(m interface{ Run() int }, options ...Option) {
	os.Exit(run(m, newConfig(options), os.Stderr)) //nolint:forbidigo // ends the process as documented
}

// run is Main without os.Exit.
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
		fmt.Fprintf(messages, "leaktest: cannot list the goroutines: %v\n", err)
	case len(left) > 0:
		fmt.Fprintln(messages, message(left, "the tests", c.wait))
	default:
		return 0
	}
	return 1
}

// settle calls look until nothing is left or the time to wait has passed, when last is true. It
// returns the result of the last call.
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
