// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package exectrace_test

import (
	"bytes"
	"context"
	"math"
	"runtime"
	"runtime/trace"
	"syscall"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// nestedShapes are functions that create n nested spans, all open at once.
func nestedShapes() map[string]func(n int) {
	return map[string]func(n int){
		"on one goroutine that waits and is woken": func(n int) {
			ctx := context.Background()
			var tasks []*trace.Task
			for i := range n {
				var task *trace.Task
				ctx, task = trace.NewTask(ctx, "s") //nolint:fatcontext // nested on purpose
				tasks = append(tasks, task)
				if i%4 == 0 {
					done := make(chan struct{})
					go func() { runtime.Gosched(); close(done) }()
					<-done
				}
			}
			for i := range tasks {
				tasks[len(tasks)-1-i].End()
			}
		},
		"the outermost ends first": func(n int) {
			ctx := context.Background()
			var tasks []*trace.Task
			for range n {
				var task *trace.Task
				ctx, task = trace.NewTask(ctx, "s") //nolint:fatcontext // nested on purpose
				tasks = append(tasks, task)
			}
			for _, task := range tasks {
				task.End()
			}
		},
		"none ends": func(n int) {
			ctx := context.Background()
			for range n {
				ctx, _ = trace.NewTask(ctx, "s") //nolint:fatcontext // nested on purpose
			}
		},
		"each on a goroutine started by the one above": func(n int) {
			done := make(chan struct{})
			var next func(ctx context.Context, left int)
			next = func(ctx context.Context, left int) {
				ctx, task := trace.NewTask(ctx, "s")
				if left > 0 {
					go next(ctx, left-1)
				} else {
					close(done)
				}
				<-done
				task.End()
			}
			go next(context.Background(), n-1)
			<-done
			runtime.Gosched()
		},
		"with goroutines below the innermost": func(n int) {
			ctx := context.Background()
			var tasks []*trace.Task
			for range n {
				var task *trace.Task
				ctx, task = trace.NewTask(ctx, "s") //nolint:fatcontext // nested on purpose
				tasks = append(tasks, task)
			}
			stop, gone := make(chan struct{}), make(chan struct{})
			for range n / 4 {
				go func() { <-stop; gone <- struct{}{} }()
			}
			runtime.Gosched()
			for i := range tasks {
				tasks[len(tasks)-1-i].End()
			}
			close(stop)
			for range n / 4 {
				<-gone
			}
		},
	}
}

// cpuTime returns the CPU time that the process has used.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// recorded returns the execution trace of f.
func recorded(t *testing.T, f func()) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := trace.Start(&b); err != nil {
		t.Fatal(err)
	}
	f()
	trace.Stop()
	return b.Bytes()
}

// TestAnalyzeIsLinearInNestedSpans compares traces with n and 8n spans. The CPU time per
// event may grow by a factor of four because of the caches; a quadratic analysis grew by
// 5 to 18. On a busy machine, one of three attempts must succeed.
func TestAnalyzeIsLinearInNestedSpans(t *testing.T) {
	if testing.Short() || testutil.RaceEnabled {
		t.Skip("takes seconds, or a minute")
	}
	const few, many, attempts = 2_000, 16_000, 3
	for name, shape := range nestedShapes() {
		t.Run(name, func(t *testing.T) {
			var growth float64
			for range attempts {
				less, more := perEvent(t, recorded(t, func() { shape(few) })), perEvent(t, recorded(t, func() { shape(many) }))
				growth = more / less
				t.Logf("%.0f ns an event with %d spans, %.0f with %d", less, few, more, many)
				if growth < 4 {
					return
				}
			}
			t.Errorf("an event takes %.1f times as long with eight times the spans", growth)
		})
	}
}

// perEvent returns the CPU time, in nanoseconds, that the analysis of an event takes.
func perEvent(t *testing.T, b []byte) float64 {
	t.Helper()
	best := math.Inf(1)
	for range 3 {
		runtime.GC()
		start := cpuTime(t)
		w, err := exectrace.Analyze(t.Context(), bytes.NewReader(b), math.MaxInt, nil)
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, float64(cpuTime(t)-start)/float64(w.Events))
	}
	return best
}

func TestDeeplyNestedSpansCountOnceForTheOutermost(t *testing.T) {
	const depth, each = 300, 100
	b := recorded(t, func() {
		ctx, root := trace.NewTask(context.Background(), "root")
		var tasks []*trace.Task
		for range depth {
			var task *trace.Task
			ctx, task = trace.NewTask(ctx, "below") //nolint:fatcontext // nested on purpose
			tasks = append(tasks, task)
		}
		done := make(chan struct{})
		for range each {
			go func() {
				_, task := trace.NewTask(ctx, "work")
				spin(100 * time.Microsecond)
				task.End()
				done <- struct{}{}
			}()
		}
		for range each {
			<-done
		}
		for i := range tasks {
			tasks[len(tasks)-1-i].End()
		}
		root.End()
	})
	var outermost, work *exectrace.Breakdown
	ran := time.Duration(0)
	if _, err := exectrace.Analyze(t.Context(), bytes.NewReader(b), math.MaxInt, func(s *exectrace.Breakdown) {
		switch s.Name {
		case "root":
			outermost = s
		case "work":
			work = s
			ran += s.Self.Of(exectrace.Running)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if outermost == nil || work == nil || outermost.Goroutines != each {
		t.Fatalf("%+v", outermost)
	}
	// The goroutines also run before and after their spans. Counted for each level, it would be 300 times as much.
	if got := outermost.Others.Of(exectrace.Running); got < ran || got > 10*ran {
		t.Errorf("the outermost span has %v of other goroutines, the spans below ran %v", got, ran)
	}
}
