// SPDX-License-Identifier: Apache-2.0

package leaktest_test

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest"
)

// childVariable selects what the test binary does when one of its own tests runs it.
const childVariable = "LEAKTEST_CHILD"

func TestMain(m *testing.M) {
	const worker = "github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest_test.wait"
	switch os.Getenv(childVariable) {
	case "":
		leaktest.Main(m)
	case "older":
		go wait(nil)
		leaktest.Main(m, soon())
	case "current":
		go wait(nil)
		leaktest.Main(m, soon(), leaktest.IgnoreCurrent())
	case "ignored":
		leaktest.Main(m, soon(), leaktest.IgnoreEntry(worker))
	case "cleaned":
		leaktest.Main(suite{m, make(chan struct{})}, soon())
	default:
		leaktest.Main(m, soon())
	}
	panic("Main has returned")
}

// suite cleans up after the tests.
type suite struct {
	*testing.M
	stop chan struct{}
}

func (s suite) Run() int {
	go wait(s.stop)
	defer close(s.stop)
	return s.M.Run()
}

// child runs one test of this binary in another process, which must end with the given code.
func child(t *testing.T, mode, test string, code int, env ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+test+"$", "-test.v", "-test.parallel=8")
	cmd.Env = append(append(os.Environ(), childVariable+"="+mode), env...)
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d (%v), want %d:\n%s", got, err, code, out)
	}
	return string(out)
}

// inChild skips a test unless child runs it.
func inChild(t *testing.T) {
	t.Helper()
	if os.Getenv(childVariable) == "" {
		t.Skip("runs in a process of its own, started by another test")
	}
}

func TestChildClean(t *testing.T) {
	inChild(t)
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt) // a goroutine for good, but no leak
}

func TestChildLeak(t *testing.T) {
	inChild(t)
	for range 2 {
		go wait(nil)
	}
}

func TestChildLeakWithCheck(t *testing.T) {
	inChild(t)
	leaktest.Check(t, soon(), leaktest.IgnoreFunction("github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest_test.wait"))
	done := make(chan struct{})
	go func() { go wait(nil); close(done) }()
	<-done
}

func TestChildFails(t *testing.T) {
	inChild(t)
	go wait(nil)
	t.Error("for another reason")
}

// Parallel tests of the testing package: two leak, and one has no Check.
func TestChildParallel(t *testing.T) {
	inChild(t)
	stop := make(chan struct{})
	for name, f := range map[string]func(*testing.T){
		"clean": func(t *testing.T) { leaktest.Check(t, leaktest.Wait(10*time.Second)); work() }, //nolint:thelper // a test
		"leaky": func(t *testing.T) { leaktest.Check(t, soon()); work(); go wait(stop) },         //nolint:thelper // a test
		"lost": func(t *testing.T) { //nolint:thelper // a test
			leaktest.Check(t, soon())
			work()
			pprof.Do(t.Context(), pprof.Labels("a", "b"), func(context.Context) { go wait(stop) })
		},
		"unchecked": func(*testing.T) { work(); go wait(stop) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t)
		})
	}
}

// work starts goroutines that end.
func work() {
	for range 20 {
		done := make(chan struct{})
		go func() {
			time.Sleep(5 * time.Millisecond)
			close(done)
		}()
		<-done
	}
}

func TestMainReports(t *testing.T) {
	for _, c := range []struct {
		mode, test string
		code       int
		want       []string
	}{
		{"plain", "TestChildClean", 0, nil},
		{"plain", "TestChildLeak", 1, []string{"PASS", "leaktest: 2 goroutines are left 20ms after the tests", "2 in chan receive (nil chan) at", "started in TestChildLeak", "created by github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest_test.TestChildLeak (main_test.go:"}},
		{"plain", "TestChildLeakWithCheck", 1, []string{"--- PASS: TestChildLeakWithCheck", "started in TestChildLeakWithCheck"}},
		{"plain", "TestChildFails", 1, []string{"for another reason"}},
		{"ignored", "TestChildLeak", 0, nil},
		{"older", "TestChildClean", 1, []string{"1 in chan receive", "ran before the tests: IgnoreCurrent ignores it"}},
		{"current", "TestChildClean", 0, nil},
		{"current", "TestChildLeak", 1, []string{"2 goroutines are left"}},
		{"cleaned", "TestChildClean", 0, nil},
	} {
		t.Run(c.mode+" "+c.test, func(t *testing.T) {
			out := child(t, c.mode, c.test, c.code)
			contains(t, out, c.want...)
			if left := strings.Contains(out, "leaktest: "); left != (c.code == 1 && c.test != "TestChildFails") {
				t.Errorf("a message of leaktest: %v\n%s", left, out)
			}
		})
	}
}

// Traces with addresses and frames of the runtime are parsed too.
func TestMainWithGotraceback(t *testing.T) {
	child(t, "plain", "TestChildClean", 0, "GOTRACEBACK=system")
	out := child(t, "plain", "TestChildLeak", 1, "GOTRACEBACK=system", "GODEBUG=tracebackancestors=5")
	contains(t, out, "2 goroutines are left", "2 in chan receive (nil chan) at github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest_test.wait (leaktest_test.go:")
}

func TestParallelTests(t *testing.T) {
	out := child(t, "plain", "TestChildParallel", 1)
	for name, want := range map[string]string{"clean": "PASS", "leaky": "FAIL", "lost": "FAIL", "unchecked": "PASS"} {
		contains(t, out, "--- "+want+": TestChildParallel/"+name+" ")
	}
	if n := len(regexp.MustCompile(`leaktest: 1 goroutine is left`).FindAllString(out, -1)); n != 2 {
		t.Errorf("%d reports of one goroutine, want 2:\n%s", n, out)
	}
}
