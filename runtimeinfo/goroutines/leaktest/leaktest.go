// Package leaktest finds leaked goroutines in tests, in one test or in a package:
//
//	func TestCheckout(t *testing.T) {
//		leaktest.Check(t)
//		...
//	}
//
//	func TestMain(m *testing.M) { leaktest.Main(m) }
//
// A test fails if goroutines that it started are still there when it is over. The
// message says what they wait for, where, who created them, and under which root
// span if the program has gmpulse's span processor.
//
// # Parallel tests
//
// [Check] sets a profiler label on the goroutine of its test. The goroutines that it
// starts inherit the label, and theirs in turn, so that tests with Check may run in
// parallel. A goroutine can lose the label (pprof.Do and
// pprof.SetGoroutineLabels replace all labels) or never have one (time.AfterFunc, a
// server that all tests share). Such a goroutine belongs to the test that started the
// first labelled one of its living creators, or else to the test whose function
// is in its stack or created it. If neither tells, and several tests with Check
// ran, the last of them to end reports it and names the others.
//
// # Coming from goleak
//
// [Main] takes the place of goleak.VerifyTestMain, Check at the start of a test that
// of a deferred goleak.VerifyNone. Check ignores what ran before it, and works in
// parallel tests; VerifyNone does neither. [IgnoreFunction] takes the place of
// goleak.IgnoreTopFunction and goleak.IgnoreAnyFunction. In place of goleak.Cleanup,
// give Main an m whose Run calls testing.M.Run and cleans up.
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
// goroutines, are there when t and its cleanups are over. Call it first: goroutines that
// run already are ignored, and so are cleanups that are registered before.
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
// Beyond what [Check] ignores, Main ignores nothing: a goroutine that was started
// before Main, in TestMain or by the initialisation of a package, is reported unless
// [IgnoreCurrent] is among the options. It looks once all tests are over, and so
// does not mind whether they run in parallel; the message names the test where a
// label, a stack or a creator tells.
//
// m is a *testing.M, or anything that runs one: deferred functions of TestMain are
// not run, but those of a Run method are.
//
// Like goleak.VerifyTestMain it does not look when tests have failed, because a
// test that fails may leave out its clean-up. It differs in that the goroutines of one
// kind are one entry of the message, with the number of them, and in that it waits 2 s
// unless [Wait] says otherwise; goleak waits 0.3 s.
func Main(m interface{ Run() int }, options ...Option) {
	os.Exit(run(m, newConfig(options), os.Stderr)) //nolint:forbidigo // TestMain ends the process, which is what Main is for
}

// run is Main but for the end of the process.
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

// settle looks until nothing is left or the time to wait is over. The last look is
// told that it is the last. The error is that of the last look.
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
