// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// The Detector logs once that there are too many goroutines, even while the budget does not
// allow a survey.
func TestTooManyIsLoggedOnce(t *testing.T) {
	var log strings.Builder
	d := NewDetector(DetectorConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	d.surveyor.most = 1
	d.budget.Spend(time.Now(), 0, time.Hour)
	for range 3 {
		d.survey(t.Context(), nil)
	}
	if n := strings.Count(log.String(), "cannot be surveyed"); n != 1 || d.skipped != 3 {
		t.Errorf("logged %d times, %d surveys skipped:\n%s", n, d.skipped, log.String())
	}
}

// If a survey costs too much, a burst is reported once, from the number of goroutines.
func TestBurstWithoutSurvey(t *testing.T) {
	d := NewDetector(DetectorConfig{Logger: slog.New(slog.DiscardHandler)})
	d.Evaluate(&Survey{Time: time.Now(), Goroutines: 50}, nil)
	for range 3 {
		d.evaluateCount(time.Now(), 195_000)
	}
	r := d.Report()
	if len(d.events) != 1 || len(r.Verdicts) != 1 || r.Verdicts[0].Kind != Burst || r.Verdicts[0].Count != 195_000 {
		t.Errorf("events %v, verdicts %v", d.events, r.Verdicts)
	}
	d.evaluateCount(time.Now(), 1_000_000)
	if len(d.events) != 2 {
		t.Errorf("events %v, want one more for five times as many", d.events)
	}
	d = NewDetector(DetectorConfig{Logger: slog.New(slog.DiscardHandler)})
	d.Evaluate(&Survey{Time: time.Now(), Goroutines: 100_000}, nil)
	d.evaluateCount(time.Now(), 120_000)
	if len(d.events) != 0 {
		t.Errorf("events %v for a process that has many goroutines all the time", d.events)
	}
}

func TestNegativeConfigMeansDefaults(t *testing.T) {
	below := DetectorConfig{Slot: -1, MinGrowth: -1, Share: -1}
	got, want := NewDetector(below), NewDetector(DetectorConfig{})
	if got.tracker.rules != want.tracker.rules || got.budget.Share() != want.budget.Share() {
		t.Errorf("%+v, %+v", got.config, got.tracker.rules)
	}
}

type recorder = func(ctx context.Context, length time.Duration) (*Recording, error)

// suspicious returns a Detector with a suspicious group.
func suspicious(r recorder) *Detector {
	d := NewDetector(DetectorConfig{Record: r, Logger: slog.New(slog.DiscardHandler)})
	start := time.Now().Add(-20 * time.Second)
	for i := range 4 {
		d.Evaluate(&Survey{Time: start.Add(time.Duration(i) * 5 * time.Second), Goroutines: 20 * i, Groups: []Group{{Key: key(Select, "shop.a"), Count: 20 * i}}}, nil)
	}
	return d
}

// A recorder that fails, panics, hangs or returns nothing is counted and not called again at
// once, and the wait for it is bounded.
func TestFailingRecorder(t *testing.T) {
	for name, r := range map[string]recorder{
		"error":   func(context.Context, time.Duration) (*Recording, error) { return nil, errors.New("busy") },
		"panic":   func(context.Context, time.Duration) (*Recording, error) { panic("oh") },
		"nothing": func(context.Context, time.Duration) (*Recording, error) { return nil, nil },
		"hangs": func(ctx context.Context, _ time.Duration) (*Recording, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := suspicious(r)
			began := time.Now()
			d.Record(t.Context())
			if d.recorded != 0 || d.recordFailed != 1 {
				t.Errorf("%s: %d made, %d failed", name, d.recorded, d.recordFailed)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("%s: it took %v", name, took)
			}
			d.Record(t.Context()) // too early
			if d.recordFailed != 1 {
				t.Errorf("%s: called again at once", name)
			}
		})
	}
}

// There is no recording without a suspicious group, or beyond the budget.
func TestRecordingsKeepToBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		r := func(context.Context, time.Duration) (*Recording, error) {
			made++
			return &Recording{Duration: 5 * time.Second, CPU: time.Second}, nil
		}
		d := NewDetector(DetectorConfig{Record: r})
		d.Record(t.Context())
		if made != 0 {
			t.Error("a recording without a suspicious group")
		}
		d = suspicious(r)
		for range 120 { // each uses the share of 1,000 s
			d.Record(t.Context())
			time.Sleep(5 * time.Second)
		}
		if made < 1 || made > 2 {
			t.Errorf("%d recordings of a second each in ten minutes, want what the credit of half an hour covers", made)
		}
	})
}

// A suspicious group is recorded without waiting for the next slot, and a survey follows each
// recording at once.
func TestRecordingsAreEvaluatedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const length = 1700 * time.Millisecond
		var mu sync.Mutex
		var began, ended time.Time
		ctx, cancel := context.WithCancel(t.Context())
		// Surveys take real CPU time, more on a busy machine and with the race detector.
		d := NewDetector(DetectorConfig{Share: 1, Logger: slog.New(slog.DiscardHandler), Record: func(context.Context, time.Duration) (*Recording, error) {
			if !began.IsZero() {
				return nil, errors.New("one is enough")
			}
			began = time.Now()
			time.Sleep(length)
			mu.Lock()
			defer mu.Unlock()
			ended = time.Now()
			return &Recording{Duration: length}, nil
		}})
		var wg sync.WaitGroup
		wg.Go(func() { d.Run(ctx, func() *runtimeinfo.Snapshot { return nil }) })
		stop := make(chan struct{})
		var suspicious, surveyed time.Time
		for range 300 {
			wg.Go(func() { <-stop })
			time.Sleep(100 * time.Millisecond)
			d.work.Lock()
			if suspicious.IsZero() && d.tracker.wantsRecording(time.Now()) {
				suspicious = time.Now()
			}
			d.work.Unlock()
			mu.Lock()
			if r := d.Report(); surveyed.IsZero() && !ended.IsZero() && !r.Survey.Time.Before(ended) {
				surveyed = r.Survey.Time
			}
			mu.Unlock()
		}
		close(stop)
		cancel()
		wg.Wait()
		if ended.IsZero() || surveyed.IsZero() {
			t.Fatalf("recorded until %v, surveyed at %v", ended, surveyed)
		}
		if wait := began.Sub(suspicious); wait > testSlot/5 {
			t.Errorf("the recording began after %v", wait)
		}
		if wait := surveyed.Sub(ended); wait > 100*time.Millisecond {
			t.Errorf("the survey followed after %v", wait)
		}
	})
}

// Run returns when its context is done.
func TestRunReturnsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := NewDetector(DetectorConfig{Logger: slog.New(slog.DiscardHandler)})
		done := make(chan struct{})
		go func() {
			d.Run(ctx, func() *runtimeinfo.Snapshot { return nil })
			close(done)
		}()
		time.Sleep(12 * time.Second)
		cancel()
		<-done
		if d.taken == 0 {
			t.Error("no surveys")
		}
	})
}

func TestIdleProcessIsSurveyedOnceAMinute(t *testing.T) {
	const slot = 5 * time.Second
	before := activity{at: time.Now(), goroutines: 7, cpu: time.Second}
	for name, test := range map[string]struct {
		change func(*activity)
		idle   bool
	}{
		"nothing happened":      {func(*activity) {}, true},
		"a goroutine more":      {func(a *activity) { a.goroutines++ }, false},
		"a goroutine less":      {func(a *activity) { a.goroutines-- }, false},
		"CPU time of the agent": {func(a *activity) { a.cpu += 5 * time.Millisecond }, true},
		"CPU time of requests":  {func(a *activity) { a.cpu += 100 * time.Millisecond }, false},
		"a minute later":        {func(a *activity) { a.at = before.at.Add(idleSlots * slot) }, false},
	} {
		is := before
		is.at = is.at.Add(slot)
		test.change(&is)
		if got := is.idleSince(before, idleSlots*slot); got != test.idle {
			t.Errorf("%s: idle is %v, want %v", name, got, test.idle)
		}
	}
	is := before
	is.at = is.at.Add(slot)
	if is.idleSince(activity{}, idleSlots*slot) {
		t.Error("idle before the first survey")
	}
	unknown := before
	unknown.cpu = 0
	if is.cpu = 0; is.idleSince(unknown, idleSlots*slot) {
		t.Error("idle although the CPU time is unknown")
	}
}

func TestDetectorRestsOnlyWithoutActiveSpans(t *testing.T) {
	if cputime.Process() == 0 {
		t.Skip("this system does not report the CPU time of a process")
	}
	for active, want := range []uint64{2, 13} {
		synctest.Test(t, func(t *testing.T) {
			// A survey takes real CPU time, more on a busy machine: it must count little beside a slot.
			d := NewDetector(DetectorConfig{Slot: 5 * time.Minute, Share: 1})
			s := &runtimeinfo.Snapshot{SpanGroups: []runtimeinfo.SpanGroup{{Name: "GET /", Active: active}}}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { d.Run(ctx, func() *runtimeinfo.Snapshot { return s }) })
			time.Sleep(time.Hour + time.Second)
			cancel()
			wg.Wait()
			if d.taken != want {
				t.Errorf("%d surveys in an hour with %d active spans, want %d", d.taken, active, want)
			}
		})
	}
}
