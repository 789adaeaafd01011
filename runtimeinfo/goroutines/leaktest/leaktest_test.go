// SPDX-License-Identifier: Apache-2.0

package leaktest_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest"
	"github.com/gmpulse/gmpulse/tracectx"
)

// recorder records the failures of a test.
type recorder struct {
	testing.TB
	name     string // "" means the name of TB
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Error(args ...any) {
	r.failures = append(r.failures, fmt.Sprint(args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.TB.Fatalf(format, args...)
}

func (r *recorder) Name() string {
	if r.name != "" {
		return r.name
	}
	return r.TB.Name()
}

// end runs the cleanups and returns the failures.
func (r *recorder) end() string {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	r.cleanups = nil
	return strings.Join(r.failures, "\n")
}

// soon is a short wait for tests that expect a leak.
func soon() leaktest.Option { return leaktest.Wait(20 * time.Millisecond) }

// wait is what all goroutines of these tests do.
func wait(stop <-chan struct{}) { <-stop }

// waitTwice receives a first value to show that it runs.
func waitTwice(c <-chan struct{}) { <-c; <-c }

// contains fails t if the message lacks one of the parts.
func contains(t *testing.T, message string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(message, part) {
			t.Errorf("the message lacks %q:\n%s", part, message)
		}
	}
}

func TestCheckPassesWithoutLeak(t *testing.T) {
	r := &recorder{TB: t}
	leaktest.Check(r)
	done := make(chan struct{})
	go func() { close(done) }()
	<-done
	if got := r.end(); got != "" {
		t.Error(got)
	}
}

// A goroutine that existed before and waits somewhere else now is not reported.
func TestCheckIgnoresEarlierGoroutines(t *testing.T) {
	first, second := make(chan struct{}), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-first
		<-second
	}()
	r := &recorder{TB: t}
	leaktest.Check(r)
	first <- struct{}{}
	if got := r.end(); got != "" {
		t.Error(got)
	}
	close(second)
	<-done
}

func TestCheckReportsLeaks(t *testing.T) {
	r := &recorder{TB: t}
	leaktest.Check(r, soon())
	stop := make(chan struct{})
	defer close(stop)
	pprof.Do(t.Context(), pprof.Labels(tracectx.RootLabel, "GET /checkout"), func(context.Context) {
		for range 3 {
			go func() { <-stop }()
		}
	})
	got := r.end()
	contains(t, got, "3 goroutines are left 20ms after the test", "3 in chan receive at", "leaktest_test.TestCheckReportsLeaks", "leaktest_test.go:",
		"created by github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest_test.TestCheckReportsLeaks.func1 (leaktest_test.go:", "created under GET /checkout (3)")
	if n := len(regexp.MustCompile(`goroutine \d+`).FindAllString(got, -1)); n != 3 {
		t.Errorf("%d ids, want 3:\n%s", n, got)
	}
}

// A new goroutine is reported although an equal earlier one ends.
func TestCheckComparesIDs(t *testing.T) {
	older, newer := make(chan struct{}), make(chan struct{})
	defer close(newer)
	go waitTwice(older)
	older <- struct{}{}
	r := &recorder{TB: t}
	leaktest.Check(r, soon())
	go waitTwice(newer)
	newer <- struct{}{}
	close(older)
	contains(t, r.end(), "1 in chan receive at", "leaktest_test.waitTwice")
}

// The message begins with the frame of the program and the creator of the goroutine.
func TestMessageNamesTheProgram(t *testing.T) {
	r := &recorder{TB: t}
	leaktest.Check(r, soon())
	var mu sync.Mutex
	mu.Lock()
	defer mu.Unlock()
	go func() {
		mu.Lock()
		defer mu.Unlock()
	}()
	contains(t, r.end(), "1 in sync.Mutex.Lock at github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest_test.TestMessageNamesTheProgram.func1 (leaktest_test.go:",
		"created by github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest_test.TestMessageNamesTheProgram (leaktest_test.go:", "\t\t\tsync.(*Mutex).Lock\n")
}

func TestMessageIsShort(t *testing.T) {
	r := &recorder{TB: t}
	leaktest.Check(r, soon())
	stop := make(chan struct{})
	defer close(stop)
	for range 5000 {
		go wait(stop)
	}
	got := r.end()
	contains(t, got, "5000 goroutines are left", "5000 in chan receive at", " and 4990 more")
	if len(got) > 2000 {
		t.Errorf("a message of %d bytes for goroutines of one kind", len(got))
	}
}

func TestOptions(t *testing.T) {
	const pkg = "github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest_test."
	for name, c := range map[string]struct {
		option leaktest.Option
		left   string // entry function of the reported goroutines; "": none
	}{
		"entry":                     {leaktest.IgnoreEntry("another", pkg+"outer"), "other"},
		"entry, but not innermost":  {leaktest.IgnoreEntry(pkg + "wait"), "outer"},
		"entry of a generic":        {leaktest.IgnoreEntry(pkg + "other[...]"), "outer"},
		"both":                      {leaktest.IgnoreEntry(pkg+"other[...]", pkg+"outer"), ""},
		"function":                  {leaktest.IgnoreFunction("another", pkg+"wait"), ""},
		"function of some":          {leaktest.IgnoreFunction(pkg + "outer"), "other"},
		"function, not its creator": {leaktest.IgnoreFunction(pkg + "begin"), "outer"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			leaktest.Check(r, soon(), c.option)
			stop := make(chan struct{})
			defer close(stop)
			begin(stop)
			got := r.end()
			if c.left == "" && got != "" {
				t.Error(got)
			}
			if c.left != "" {
				contains(t, got, "began in "+pkg+c.left)
			}
		})
	}
}

// begin starts one goroutine in outer and one in other, which both wait in wait.
func begin(stop <-chan struct{}) {
	go outer(stop)
	go other(stop, 0)
}

func outer(stop <-chan struct{})             { wait(stop) }
func other[T any](stop <-chan struct{}, _ T) { wait(stop) }

func TestIgnoreCurrent(t *testing.T) {
	r := &recorder{TB: t}
	leaktest.Check(r, soon(), func() leaktest.Option {
		return leaktest.IgnoreCurrent()
	}())
	stop := make(chan struct{})
	defer close(stop)
	go wait(stop)
	contains(t, r.end(), "1 goroutine is left")

	// Goroutines started between Check and IgnoreCurrent are reported by that Check.
	r = &recorder{TB: t}
	leaktest.Check(r, soon())
	go wait(stop)
	late := leaktest.IgnoreCurrent()
	nested := &recorder{TB: t}
	leaktest.Check(nested, soon(), late)
	if got := nested.end(); got != "" {
		t.Error(got)
	}
	contains(t, r.end(), "1 goroutine is left")
}

func TestWait(t *testing.T) {
	for name, c := range map[string]struct {
		lives   time.Duration
		options []leaktest.Option
		left    bool
	}{
		"2 s by default":      {1900 * time.Millisecond, nil, false},
		"no longer":           {2100 * time.Millisecond, nil, true},
		"longer":              {time.Minute, []leaktest.Option{leaktest.Wait(61 * time.Second)}, false},
		"shorter":             {time.Second, []leaktest.Option{leaktest.Wait(900 * time.Millisecond)}, true},
		"not at all":          {time.Millisecond, []leaktest.Option{leaktest.Wait(0)}, true},
		"the last one counts": {time.Second, []leaktest.Option{leaktest.Wait(0), leaktest.Wait(2 * time.Second)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{TB: t}
				leaktest.Check(r, c.options...)
				go time.Sleep(c.lives)
				synctest.Wait()
				began := time.Now()
				got := r.end()
				if left := got != ""; left != c.left {
					t.Errorf("left %v, want %v: %s", left, c.left, got)
				}
				if waited := time.Since(began); !c.left && waited > c.lives+200*time.Millisecond {
					t.Errorf("waited %v for a goroutine that took %v", waited, c.lives)
				}
				time.Sleep(c.lives)
			})
		})
	}
}

// The first signal.Notify of a process starts a goroutine that never ends.
func TestSignalsAreNoLeak(t *testing.T) {
	r := &recorder{TB: t}
	leaktest.Check(r, soon())
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	signal.Stop(c)
	if got := r.end(); got != "" {
		t.Error(got)
	}
}

// Check restores the profiler labels and GODEBUG.
func TestCheckRestoresLabelsAndGODEBUG(t *testing.T) {
	for _, value := range []string{"", "madvdontneed=1", "tracebacklabels=0", "tracebacklabels=1,madvdontneed=1"} {
		t.Run(value, func(t *testing.T) {
			if value == "" {
				t.Setenv("GODEBUG", "") // restores it
				os.Unsetenv("GODEBUG")
			} else {
				t.Setenv("GODEBUG", value)
			}
			pprof.Do(t.Context(), pprof.Labels("mine", `a "b": {c}`), func(context.Context) {
				before := ownLabels(t)
				r := &recorder{TB: t}
				leaktest.Check(r, soon())
				if got := ownLabels(t); !strings.Contains(got, `"mine":"a \"b\": {c}"`) || !strings.Contains(got, `"gmpulse_test":"`+t.Name()) {
					t.Errorf("during the test: %s", got)
				}
				r.end()
				if got := ownLabels(t); got != before {
					t.Errorf("after the test: %s, before: %s", got, before)
				}
			})
			got, isSet := os.LookupEnv("GODEBUG")
			if got != value || isSet != (value != "") {
				t.Errorf("GODEBUG is %q (%v), was %q", got, isSet, value)
			}
		})
	}
}

// ownLabels returns the labels of the calling goroutine as the goroutine profile shows them.
func ownLabels(t *testing.T) string {
	t.Helper()
	stop, started := make(chan struct{}), make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { <-started; <-stop })
	defer done.Wait()
	defer close(stop)
	close(started)
	for {
		var b strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
			t.Fatal(err)
		}
		for entry := range strings.SplitSeq(b.String(), "\n\n") {
			if strings.Contains(entry, "ownLabels.func1+") {
				_, labels, _ := strings.Cut(entry, "# labels: ")
				labels, _, _ = strings.Cut(labels, "\n")
				return labels
			}
		}
		runtime.Gosched()
	}
}

// The Check of the subtest that started a goroutine reports it, not the outer one.
func TestSubtestReportsItsGoroutines(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	outer := &recorder{TB: t, name: "TestOuter"}
	leaktest.Check(outer, soon())
	inner := &recorder{TB: t, name: "TestOuter/inner"}
	done := make(chan string)
	go func() {
		leaktest.Check(inner, soon())
		go wait(stop)
		done <- inner.end()
	}()
	contains(t, <-done, "1 goroutine is left")
	if got := outer.end(); got != "" {
		t.Error(got)
	}
}
