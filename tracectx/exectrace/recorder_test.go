// SPDX-License-Identifier: Apache-2.0

package exectrace_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime/trace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

func newRecorder(t testing.TB, c exectrace.Config) *exectrace.Recorder {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	r, err := exectrace.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewReportsEveryInvalidField(t *testing.T) {
	_, err := exectrace.New(exectrace.Config{MaxGoroutines: -1, MaxBytes: -2, MaxEvents: -3, Every: time.Second, For: time.Second, Mode: exectrace.DutyCycle, MaxShare: -1})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"MaxGoroutines is -1", "MaxBytes is -2", "MaxEvents is -3", "For is 1s", "MaxShare is -1"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("the error lacks %q: %v", field, err)
		}
	}
}

// hold keeps the flight recorder of the process in use until the test ends.
func hold(t *testing.T) (release func()) {
	t.Helper()
	f := trace.NewFlightRecorder(trace.FlightRecorderConfig{})
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(f.Stop)
	t.Cleanup(release)
	return release
}

// Failures are counted and logged once, and so is the first success afterwards.
func TestFailuresAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	r := newRecorder(t, exectrace.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	release := hold(t)
	for range 3 {
		if _, err := r.Record(t.Context(), 10*time.Millisecond); !errors.Is(err, exectrace.ErrBusy) {
			t.Errorf("while the flight recorder is in use: %v", err)
		}
	}
	release()
	for range 2 {
		if _, err := r.Record(t.Context(), 10*time.Millisecond); err != nil {
			t.Errorf("after the flight recorder is free: %v", err)
		}
	}
	if s := r.Stats(); s != (exectrace.Stats{Recordings: 2, Busy: 3}) {
		t.Errorf("stats %+v", s)
	}
	if got := strings.Count(log.String(), "\n"); got != 2 || !strings.Contains(log.String(), "cannot record") || !strings.Contains(log.String(), "again") {
		t.Errorf("want a line for the first failure and one for the end of failures:\n%s", log.String())
	}
}

func TestLimitsReturnErrTooMany(t *testing.T) {
	for name, c := range map[string]exectrace.Config{
		"goroutines": {MaxGoroutines: 1},
		"bytes":      {MaxBytes: 64},
		"events":     {MaxEvents: 3},
	} {
		r := newRecorder(t, c)
		made, err := r.Record(t.Context(), 10*time.Millisecond)
		if !errors.Is(err, exectrace.ErrTooMany) || made != nil {
			t.Errorf("%s: %v, %v", name, made, err)
		}
		if s := r.Stats(); s != (exectrace.Stats{TooMany: 1}) {
			t.Errorf("%s: stats %+v", name, s)
		}
	}
	// The flight recorder is free after a failure.
	hold(t)
}

func TestRecordReturnsTheCauseOfItsContext(t *testing.T) {
	r := newRecorder(t, exectrace.Config{})
	cause := errors.New("cause")
	ctx, cancel := context.WithTimeoutCause(t.Context(), -time.Second, cause)
	defer cancel()
	if _, err := r.Record(ctx, 10*time.Millisecond); !errors.Is(err, cause) {
		t.Error(err)
	}
	if s := r.Stats(); s != (exectrace.Stats{}) {
		t.Errorf("stats %+v", s)
	}
}
