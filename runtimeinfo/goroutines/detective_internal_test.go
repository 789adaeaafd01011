// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// That there are too many is logged when it is so, not when a survey of them could be
// paid for; and that it is over, once.
func TestTooManyIsSaidAtOnce(t *testing.T) {
	var log strings.Builder
	d := NewDetective(DetectiveConfig{Survey: Config{MaxGoroutines: 1}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	d.governor.Spend(time.Now(), 0, time.Hour)
	for range 3 {
		d.look(t.Context(), nil)
	}
	f := d.Findings()
	if n := strings.Count(log.String(), "cannot be surveyed"); n != 1 || f.SurveysSkipped != 3 {
		t.Errorf("said %d times, %d surveys skipped:\n%s", n, f.SurveysSkipped, log.String())
	}
}

// A burst of more goroutines than a survey can be paid for is reported from their
// number, once.
func TestBurstFromCountsAlone(t *testing.T) {
	d := NewDetective(DetectiveConfig{Logger: slog.New(slog.DiscardHandler)})
	d.Consider(&Survey{Time: time.Now(), Goroutines: 50}, nil)
	for range 3 {
		d.countAlone(time.Now(), 195_000)
	}
	f, r := d.Findings(), d.Report()
	if len(f.Events) != 1 || len(r.Verdicts) != 1 || r.Verdicts[0].Kind != Burst || r.Verdicts[0].Count != 195_000 {
		t.Errorf("events %v, verdicts %v", f.Events, r.Verdicts)
	}
	d.countAlone(time.Now(), 1_000_000)
	if f := d.Findings(); len(f.Events) != 1 {
		t.Errorf("events %v, want one that it is five times as large", f.Events)
	}
	d = NewDetective(DetectiveConfig{Logger: slog.New(slog.DiscardHandler)})
	d.Consider(&Survey{Time: time.Now(), Goroutines: 100_000}, nil)
	d.countAlone(time.Now(), 120_000)
	if f := d.Findings(); len(f.Events) != 0 {
		t.Errorf("events %v on a process that has always been large", f.Events)
	}
}

func TestConfigBelowZero(t *testing.T) {
	below := DetectiveConfig{Survey: Config{MaxGroups: -1, MaxGoroutines: -1}, Slot: -1, MinGrowth: -1, Share: -1, Top: -1}
	got, want := NewDetective(below), NewDetective(DetectiveConfig{})
	if got.tracker.rules != want.tracker.rules || got.config.Top != want.config.Top || got.governor.share != want.governor.share || got.surveyor.config != want.surveyor.config {
		t.Errorf("%+v, %+v", got.config, got.tracker.rules)
	}
}

// fakeRecorder fails in a way of its own.
type fakeRecorder func(ctx context.Context, length time.Duration) (*Recording, error)

func (f fakeRecorder) Record(ctx context.Context, length time.Duration) (*Recording, error) {
	return f(ctx, length)
}

// suspicious returns a Detective that wants a recording.
func suspicious(r Recorder) *Detective {
	d := NewDetective(DetectiveConfig{Recorder: r, Logger: slog.New(slog.DiscardHandler)})
	start := time.Now()
	for i := range 4 {
		d.Consider(&Survey{Time: start.Add(time.Duration(i) * 5 * time.Second), Goroutines: 20 * i, Groups: []Group{{Key: key(Select, "shop.a"), Count: 20 * i}}}, nil)
	}
	return d
}

// A recorder that fails, panics, hangs or returns nothing costs a counter, and the wait
// for it is bounded.
func TestRecorderThatFails(t *testing.T) {
	for name, r := range map[string]fakeRecorder{
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
			if f := d.Findings(); f.Recordings != 0 || f.RecordingsFailed != 1 {
				t.Errorf("%s: %d made, %d failed", name, f.Recordings, f.RecordingsFailed)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("%s: it took %v", name, took)
			}
			d.Record(t.Context()) // too soon for another attempt
			if f := d.Findings(); f.RecordingsFailed != 1 {
				t.Errorf("%s: it was tried again at once", name)
			}
		})
	}
}

// There is no recording while nothing is suspicious, nor one that cannot be paid for.
func TestRecordingsAreRationed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		r := fakeRecorder(func(context.Context, time.Duration) (*Recording, error) {
			made++
			return &Recording{Duration: 5 * time.Second, CPU: time.Second}, nil
		})
		d := NewDetective(DetectiveConfig{Recorder: r})
		d.Record(t.Context())
		if made != 0 {
			t.Error("a recording although nothing is suspicious")
		}
		d = suspicious(r)
		for range 120 { // each takes a thousandth of 1,000 s
			d.Record(t.Context())
			time.Sleep(5 * time.Second)
		}
		if made < 1 || made > 2 {
			t.Errorf("%d recordings of a second each in ten minutes, want no more than the credit of half an hour pays for", made)
		}
	})
}

// Run ends both of its loops with its context.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := NewDetective(DetectiveConfig{Logger: slog.New(slog.DiscardHandler)})
		done := make(chan struct{})
		go func() {
			d.Run(ctx, func() *runtimeinfo.Snapshot { return nil })
			close(done)
		}()
		time.Sleep(12 * time.Second)
		cancel()
		<-done
		if f := d.Findings(); f.Surveys == 0 {
			t.Error("no surveys")
		}
	})
}
