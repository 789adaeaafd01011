// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"testing"
	"time"

	xtrace "golang.org/x/exp/trace"
)

// ownSnapshot returns a recording of this process.
func ownSnapshot(t testing.TB) []byte {
	t.Helper()
	r, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDamagedTracesReturnErrFormat(t *testing.T) {
	whole := ownSnapshot(t)
	if _, err := readGoroutines(t.Context(), whole, defaultMaxEvents); err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(whole, []byte("go 1.26"), []byte("go 1.99"), 1)
	for name, damaged := range map[string][]byte{
		"empty":        {},
		"no trace":     []byte("not a trace, but long enough for a header"),
		"a newer one":  newer,
		"cut":          whole[:len(whole)/2],
		"its end lost": whole[:len(whole)-1],
	} {
		if made, err := readGoroutines(t.Context(), damaged, defaultMaxEvents); !errors.Is(err, ErrFormat) || made != nil {
			t.Errorf("%s: %v, %v", name, made, err)
		}
	}
}

// A damaged trace with a time in the distant future must not take forever.
func TestImpossibleTimesReturnErrFormat(t *testing.T) {
	for _, last := range []xtrace.Time{math.MaxInt64, math.MinInt64, 0} {
		a := newAnalyzer(nil)
		var err error
		for _, now := range []xtrace.Time{1, last} {
			e, ok := event(now, xtrace.EventStateTransition, 1, xtrace.MakeGoStateTransition(2, xtrace.GoNotExist, xtrace.GoRunnable))
			if !ok {
				t.Fatal("no event")
			}
			err = a.event(&e)
		}
		if !errors.Is(err, ErrFormat) {
			t.Errorf("an event at %d: %v", last, err)
		}
	}
}

func TestUnsupportedVersionFailsWithoutRecording(t *testing.T) {
	r, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r.formatErr = checkFormat(bytes.NewReader([]byte("go 1.99 trace\x00\x00\x00")))
	for range 2 {
		if _, err := r.Record(t.Context(), 10*time.Millisecond); !errors.Is(err, ErrFormat) {
			t.Error(err)
		}
	}
	if n := r.Stats().Unreadable; n != 2 {
		t.Errorf("%d unreadable, want 2", n)
	}
}
