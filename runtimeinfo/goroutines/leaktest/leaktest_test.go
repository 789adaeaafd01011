package leaktest_test

import (
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest"
)

// recorder is a test whose failures are kept.
type recorder struct {
	testing.TB
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

// end runs the cleanups, as the end of a test does.
func (r *recorder) end() string {
	for _, f := range r.cleanups {
		f()
	}
	return strings.Join(r.failures, "\n")
}

func TestNothingLeft(t *testing.T) {
	r := &recorder{TB: t}
	leaktest.Check(r)
	done := make(chan struct{})
	go func() { close(done) }()
	<-done
	if got := r.end(); got != "" {
		t.Error(got)
	}
}

// A worker that was there before and waits somewhere else now is not left over.
func TestMoved(t *testing.T) {
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

func TestLeft(t *testing.T) {
	r := &recorder{TB: t}
	leaktest.Check(r)
	stop := make(chan struct{})
	defer close(stop)
	pprof.Do(t.Context(), pprof.Labels("gmpulse_root", "GET /checkout"), func(context.Context) {
		for range 3 {
			go func() { <-stop }()
		}
	})
	got := r.end()
	for _, want := range []string{"3 in chan receive at", "leaktest_test.TestLeft", "leaktest_test.go:", "created under GET /checkout (3)"} {
		if !strings.Contains(got, want) {
			t.Errorf("the message lacks %q:\n%s", want, got)
		}
	}
}
