// SPDX-License-Identifier: Apache-2.0

package exectrace_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// running returns a Recorder whose Run ends with the test.
func running(t *testing.T, c exectrace.Config) *exectrace.Recorder {
	t.Helper()
	r := newRecorder(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

// provider returns a provider whose spans have log events in execution traces.
func provider(t *testing.T, opts ...sdktrace.TracerProviderOption) *sdktrace.TracerProvider {
	t.Helper()
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		t.Fatal(err)
	}
	tp := sdktrace.NewTracerProvider(append(opts, sdktrace.WithSpanProcessor(p))...)
	t.Cleanup(func() { _ = tp.Shutdown(context.Background()) })
	return tp
}

func spansFor(t *testing.T, tracer trace.Tracer, d time.Duration) {
	t.Helper()
	for start := time.Now(); time.Since(start) < d; {
		_, s := tracer.Start(t.Context(), "work")
		time.Sleep(time.Millisecond)
		s.End()
	}
}

func TestRunAnalyzesRecordings(t *testing.T) {
	for _, mode := range []exectrace.Mode{exectrace.DutyCycle, exectrace.Always} {
		t.Run(fmt.Sprintf("mode=%d", mode), func(t *testing.T) {
			r := running(t, exectrace.Config{Mode: mode, Every: 500 * time.Millisecond, For: 200 * time.Millisecond, MaxShare: 1e6})
			tracer := provider(t).Tracer("test")
			testutil.Retry(t, func() error {
				spansFor(t, tracer, 50*time.Millisecond)
				if w := r.Window(); w == nil || w.Spans == 0 || len(w.Roots) != 1 || w.Roots[0].Name != "work" || len(w.Slowest) == 0 {
					return errors.New("no window with spans")
				}
				return nil
			})
			if times, read := totals(t, r); len(times) != 4 || times[0].Labels[0] != "work" || read == 0 || sum(times) < time.Millisecond {
				t.Errorf("times %+v, %v recordings read", times, read)
			}
			if made, err := r.Record(t.Context(), 10*time.Millisecond); err != nil || len(made.Goroutines) == 0 {
				t.Errorf("Record during Run: %v, %v", made, err)
			}
			if s := r.Stats(); s.StepsBack != 0 || s.Unreadable != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
	hold(t) // the flight recorder is free after Run
}

// totals returns what a recorder adds to a snapshot: the times of root spans, and the
// number of recordings that were read.
func totals(t *testing.T, r *exectrace.Recorder) (times []runtimeinfo.Point, read float64) {
	t.Helper()
	c, err := runtimeinfo.NewCatalogue(r.Metrics()...)
	if err != nil {
		t.Fatal(err)
	}
	b := runtimeinfo.NewBuilder(c, runtimeinfo.Snapshot{Time: time.Now()})
	d := b.Draft()
	r.Analyze(d)
	b.Merge(d)
	s := b.Snapshot()
	for p := range s.Series("gmpulse.execution_traces") {
		if p.Labels[0] == "read" {
			read = p.Number
		}
	}
	return slices.Collect(s.Series("gmpulse.root_span.exact_time")), read
}

func sum(times []runtimeinfo.Point) (d time.Duration) {
	for _, p := range times {
		d += time.Duration(p.Number * float64(time.Second))
	}
	return d
}

func TestRunReturnsAtOnceIfOff(t *testing.T) {
	newRecorder(t, exectrace.Config{}).Run(t.Context())
}

func TestRunPausesIfALimitIsExceeded(t *testing.T) {
	for name, c := range map[string]exectrace.Config{
		"goroutines": {MaxGoroutines: 1},
		"rate":       {MaxRate: 1},
		"share":      {MaxShare: 1e-12},
		"bytes":      {MaxBytes: 64},
	} {
		c.Mode, c.Every, c.For = exectrace.DutyCycle, 250*time.Millisecond, 120*time.Millisecond
		r := running(t, c)
		testutil.Retry(t, func() error {
			if r.Stats().StepsBack == 0 {
				return errors.New(name + ": no pause")
			}
			return nil
		})
		if r.Window() != nil && name != "share" {
			t.Errorf("%s: a window in spite of the limit", name)
		}
	}
}

func TestRunRetriesIfTheFlightRecorderIsInUse(t *testing.T) {
	release := hold(t)
	var log bytes.Buffer
	r := running(t, exectrace.Config{Mode: exectrace.Always, Every: 200 * time.Millisecond, MaxShare: 1e6, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	testutil.Retry(t, func() error {
		if r.Stats().Busy == 0 {
			return errors.New("Busy is not counted")
		}
		return nil
	})
	release()
	testutil.Retry(t, func() error {
		if r.Window() == nil {
			return errors.New("no window after the flight recorder is free")
		}
		return nil
	})
}
