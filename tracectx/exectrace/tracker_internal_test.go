// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	xtrace "golang.org/x/exp/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// step is a transition of goroutine id, caused by goroutine by or none.
type step struct {
	by, id   xtrace.GoID
	from, to xtrace.GoState
	reason   string
}

const none = xtrace.NoGoroutine

// play returns the goroutines of a recording with the given steps.
func play(t *testing.T, steps ...step) map[uint64]goroutines.RecordedGoroutine {
	t.Helper()
	l := newTracker()
	for i, s := range steps {
		tr := xtrace.MakeGoStateTransition(s.id, s.from, s.to)
		tr.Reason = s.reason
		e, ok := event(xtrace.Time(i+1), xtrace.EventStateTransition, s.by, tr)
		if !ok {
			t.Fatalf("no event of %+v", s)
		}
		if err := l.event(&e); err != nil {
			t.Fatal(err)
		}
	}
	all := map[uint64]goroutines.RecordedGoroutine{}
	for _, g := range l.recording().Goroutines {
		all[g.ID] = g
	}
	return all
}

// The cases say whether goroutine 1 ran, and what woke it first.
func TestTrackerFindsWakeups(t *testing.T) {
	const (
		unknown  = xtrace.GoUndetermined
		absent   = xtrace.GoNotExist
		runnable = xtrace.GoRunnable
		running  = xtrace.GoRunning
		waiting  = xtrace.GoWaiting
		syscall  = xtrace.GoSyscall
	)
	existing := step{none, 1, unknown, waiting, ""}
	create := []step{{2, 1, absent, runnable, ""}, {none, 1, runnable, running, ""}}
	wait := func(reason string) step { return step{1, 1, running, waiting, reason} }
	wake := func(by xtrace.GoID) []step {
		return []step{{by, 1, waiting, runnable, ""}, {none, 1, runnable, running, ""}}
	}
	for name, c := range map[string]struct {
		steps  []step
		ran    bool
		wakeup goroutines.Wakeup
	}{
		"waits":                           {[]step{existing, {none, 1, waiting, waiting, ""}}, false, goroutines.WakeupNone},
		"in a syscall":                    {[]step{{none, 1, unknown, syscall, ""}, {none, 1, syscall, syscall, ""}}, false, goroutines.WakeupNone},
		"returns from a syscall":          {[]step{{none, 1, unknown, syscall, ""}, {1, 1, syscall, running, ""}}, true, goroutines.WakeupSyscall},
		"running":                         {[]step{{1, 1, unknown, running, ""}}, true, goroutines.WakeupNone},
		"runnable":                        {[]step{{none, 1, unknown, runnable, ""}}, true, goroutines.WakeupNone},
		"running, a short syscall":        {[]step{{1, 1, unknown, running, ""}, {1, 1, running, syscall, ""}, {1, 1, syscall, running, ""}}, true, goroutines.WakeupNone},
		"woken by a goroutine":            {slices.Concat([]step{existing}, wake(2)), true, goroutines.WakeupGoroutine},
		"woken by a timer or the poller":  {slices.Concat([]step{existing}, wake(none)), true, goroutines.WakeupOther},
		"and waits for the network again": {slices.Concat([]step{existing}, wake(none), []step{wait("network")}), true, goroutines.WakeupNetwork},
		"and waits in a select again":     {slices.Concat([]step{existing}, wake(none), []step{wait("select")}), true, goroutines.WakeupTimer},
		"and waits for the collector":     {slices.Concat([]step{existing}, wake(none), []step{wait("preempted")}), true, goroutines.WakeupOther},
		"the first wakeup counts":         {slices.Concat([]step{existing}, wake(2), []step{wait("network")}, wake(none)), true, goroutines.WakeupGoroutine},
		"created":                         {create, false, goroutines.WakeupNone},
		"created, waits":                  {slices.Concat(create, []step{wait("chan receive")}), false, goroutines.WakeupNone},
		"created, reads a file":           {slices.Concat(create, []step{{1, 1, running, syscall, ""}, {1, 1, syscall, runnable, ""}}), false, goroutines.WakeupNone},
		"created, preempted":              {slices.Concat(create, []step{{1, 1, running, runnable, "preempted"}, {none, 1, runnable, running, ""}}), false, goroutines.WakeupNone},
		"created, assists the collector":  {slices.Concat(create, []step{wait("GC mark assist wait for work")}, wake(3), []step{wait("chan send")}), false, goroutines.WakeupNone},
		"created, woken by a sleep":       {slices.Concat(create, []step{wait("sleep")}, wake(none)), true, goroutines.WakeupTimer},
		"created, woken by the poller":    {slices.Concat(create, []step{wait("network")}, wake(none)), true, goroutines.WakeupNetwork},
		"a coroutine before it begins":    {[]step{{2, 1, absent, waiting, ""}}, false, goroutines.WakeupNone},
		"a coroutine that begins":         {slices.Concat([]step{{2, 1, absent, waiting, ""}}, wake(2)), false, goroutines.WakeupNone},
		"a coroutine the second time":     {slices.Concat([]step{{2, 1, absent, waiting, ""}}, wake(2), []step{wait("")}, wake(2)), true, goroutines.WakeupGoroutine},
		"woken by a function of a timer":  {slices.Concat([]step{existing, {none, 2, absent, runnable, ""}, {none, 2, runnable, running, ""}}, wake(2)), true, goroutines.WakeupTimer},
		"the same after it has waited":    {slices.Concat([]step{existing, {none, 2, absent, runnable, ""}, {none, 2, runnable, running, ""}, {2, 2, running, waiting, "sleep"}, {none, 2, waiting, runnable, ""}}, wake(2)), true, goroutines.WakeupGoroutine},
	} {
		g, ok := play(t, c.steps...)[1]
		if !ok || g.Ran != c.ran || g.Wakeup != c.wakeup || g.Created != (c.steps[0].from == absent) {
			t.Errorf("%s: found %v, ran %v, woken by %v, created %v", name, ok, g.Ran, g.Wakeup, g.Created)
		}
	}
	gone := play(t, slices.Concat(create, []step{{1, 1, running, absent, ""}})...)
	if len(gone) != 0 {
		t.Errorf("after its end %+v", gone)
	}
}

func TestRecordedGoroutineIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(goroutines.RecordedGoroutine{}); n > 80 {
		t.Errorf("%d bytes", n)
	}
}

// A damaged recording leads to an error or a recording. A panic of the reader becomes an
// error.
func TestDamagedRecordingDoesNotPanic(t *testing.T) {
	whole := ownSnapshot(t)
	if r, err := readGoroutines(t.Context(), whole, defaultMaxEvents); err != nil || len(r.Goroutines) == 0 {
		t.Fatal(r, err)
	}
	for name, damaged := range map[string][]byte{
		"empty":        {},
		"a newer one":  bytes.Replace(whole, []byte("go 1."), []byte("go 9."), 1),
		"cut":          whole[:len(whole)/2],
		"its end lost": whole[:len(whole)-1],
	} {
		if r, err := readGoroutines(t.Context(), damaged, defaultMaxEvents); !errors.Is(err, ErrFormat) || r != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	var failed int
	for i := 0; i < len(whole); i += max(1, len(whole)/500) {
		damaged := slices.Clone(whole)
		damaged[i] ^= 1 << (i % 8)
		r, err := readGoroutines(t.Context(), damaged, defaultMaxEvents)
		if (r == nil) == (err == nil) || err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTooMany) {
			t.Errorf("bit %d of byte %d: %v", i%8, i, err)
		}
		if err != nil {
			failed++
		}
		track(t, foreignEvents(damaged))
	}
	if failed == 0 {
		t.Error("no damage was detected")
	}
}

// track calls a tracker without readEvents, which recovers panics.
func track(t *testing.T, events []xtrace.Event) {
	t.Helper()
	l := newTracker()
	for i := range events {
		if l.event(&events[i]) != nil {
			break
		}
	}
	for _, g := range l.recording().Goroutines {
		if len(g.Creation) > maxCreationFrames || !g.Created && (g.Creator != 0 || g.Creation != nil) {
			t.Errorf("goroutine %+v", g)
		}
	}
}

func FuzzTracker(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add([]byte{0, 1, 1, 0, 4, 1, 1, 0, 1, 1, 2, 3, 4, 2, 2, 1, 5, 1, 1, 0, 5, 2, 2, 0})
	f.Add(smallTrace(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		track(t, madeUpEvents(data))
		track(t, foreignEvents(data))
	})
}

func TestEstimateLimitsTheLength(t *testing.T) {
	c, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	const s = time.Second
	for _, x := range []struct {
		what     string
		estimate estimate
		n        int
		asked    time.Duration
		want     time.Duration
	}{
		{"the first", estimate{}, 100, 3 * s, 3 * s},
		{"20,000 goroutines", estimate{}, 20_000, 3 * s, 3 * s},
		{"more", estimate{}, 20_001, 3 * s, s},
		{"200,000 events a second", estimate{eventRate: 200_000}, 100, 3 * s, 3 * s},
		{"a million", estimate{eventRate: 1e6}, 100, 3 * s, 600 * time.Millisecond},
		{"a billion", estimate{eventRate: 1e9}, 100, 3 * s, probe},
		{"a billion, and a short one", estimate{eventRate: 1e9}, 100, time.Millisecond, time.Millisecond},
		{"200,000 for a minute", estimate{eventRate: 200_000}, 100, 60 * s, 5625 * time.Millisecond},
		{"4 MiB a second", estimate{byteRate: 4 << 20}, 100, 3 * s, 1500 * time.Millisecond},
		{"after two overruns", estimate{overruns: 2}, 100, 4 * s, s},
		{"after a hundred overruns", estimate{overruns: 100}, 100, 4 * s, probe},
	} {
		if got := x.estimate.length(x.asked, x.n, &c); got != x.want {
			t.Errorf("%s: %v, want %v", x.what, got, x.want)
		}
	}
	p := estimate{eventRate: 5}
	p.update(nil, ErrTooMany)
	p.update(nil, ErrTooMany)
	p.update(nil, ErrBusy)
	if p != (estimate{eventRate: 5, overruns: 2}) {
		t.Errorf("%+v", p)
	}
	p.update(&goroutines.Recording{Events: 600, Bytes: 3000, Duration: 3 * s}, nil)
	if p != (estimate{eventRate: 200, byteRate: 1000}) {
		t.Errorf("%+v", p)
	}
	if n := p.bytes(3*s, 10_000, &c); n != 256<<10+600_000 {
		t.Errorf("%d bytes", n)
	}
	if n := (&estimate{byteRate: 1e9}).bytes(3*s, 10_000, &c); n != c.MaxBytes {
		t.Errorf("%d bytes", n)
	}
}

func TestRecordCountsOverruns(t *testing.T) {
	r, err := New(Config{MaxEvents: 3, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for overruns := range 3 {
		if r.estimate.overruns != overruns {
			t.Errorf("%d overruns, want %d", r.estimate.overruns, overruns)
		}
		if _, err := r.Record(t.Context(), 10*time.Millisecond); !errors.Is(err, ErrTooMany) {
			t.Error(err)
		}
	}
}

func TestCheckMemory(t *testing.T) {
	if err := checkMemory(1 << 40); err != nil {
		t.Errorf("without a limit: %v", err)
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 40))
	if err := checkMemory(1 << 36); err != nil {
		t.Errorf("a quarter of the limit less: %v", err)
	}
	if err := checkMemory(1 << 38); !errors.Is(err, ErrTooMany) {
		t.Errorf("a quarter of the limit: %v", err)
	}
}

// BenchmarkReadGoroutines reads a recording of goroutines that wait at one place.
func BenchmarkReadGoroutines(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			stop := make(chan struct{})
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() { <-stop })
			}
			recorded := ownSnapshot(b)
			close(stop)
			wg.Wait()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := readGoroutines(b.Context(), recorded, defaultMaxEvents); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/goroutine")
		})
	}
}
