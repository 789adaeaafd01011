// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"bytes"
	"context"
	"runtime/trace"
	"sync"
	"testing"

	xtrace "golang.org/x/exp/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

// smallTrace returns a trace with tasks, log events and goroutines that wait and wake.
func smallTrace(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := trace.Start(&b); err != nil {
		t.Fatal(err)
	}
	ctx, outer := trace.NewTask(t.Context(), "outer")
	trace.Log(ctx, "gmpulse.span", "0123456789abcdef01234567inner")
	_, task := trace.NewTask(ctx, "inner")
	var wg sync.WaitGroup
	var mu sync.Mutex
	mu.Lock()
	wg.Go(func() { mu.Lock(); defer mu.Unlock() })
	mu.Unlock()
	outer.End()
	wg.Wait()
	task.End()
	trace.Stop()
	return b.Bytes()
}

// For any trace, the analyzer does not panic and the parts add up.
func FuzzAnalyze(f *testing.F) {
	f.Add(smallTrace(f))
	f.Add(ownSnapshot(f))
	f.Add([]byte("go 1.21 trace\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) { run(t, foreignEvents(data)) })
}

// The same with arbitrary events, which the reader would reject.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add([]byte{0, 1, 1, 0, 4, 1, 1, 0, 1, 1, 2, 3, 4, 2, 2, 1, 5, 1, 1, 0, 5, 2, 2, 0})
	f.Fuzz(func(t *testing.T, data []byte) { run(t, madeUpEvents(data)) })
}

func run(t *testing.T, events []xtrace.Event) {
	t.Helper()
	a := newAnalyzer(func(b *Breakdown) {
		if b.Self.Sum() != b.Duration || b.Duration < 0 {
			t.Errorf("%s: parts add up to %v, want %v: %v", b.Name, b.Self.Sum(), b.Duration, b.Self)
		}
		for _, d := range b.Others.All() {
			if d < 0 {
				t.Errorf("%s: others %v", b.Name, b.Others)
			}
		}
		if len(b.Wakers) > maxWakers {
			t.Errorf("%s: %d wakers", b.Name, len(b.Wakers))
		}
	})
	for i := range events {
		if a.event(&events[i]) != nil {
			return
		}
	}
	w := a.finish()
	for id, busy := range w.Busy {
		if busy < 0 || busy > w.Duration {
			t.Errorf("P%d: busy for %v of %v", id, busy, w.Duration)
		}
	}
	if w.QueueMean < 0 || w.QueueMean > float64(w.QueueMax) || len(w.Roots) > maxRoots+1 {
		t.Errorf("run queue: mean %v, maximum %d; %d roots", w.QueueMean, w.QueueMax, len(w.Roots))
	}
}

// madeUpEvents returns an event for each four bytes: kind, goroutine, object, time.
func madeUpEvents(data []byte) (events []xtrace.Event) {
	now := xtrace.Time(1)
	for ; len(data) >= 4; data = data[4:] {
		now += xtrace.Time(data[3]) * xtrace.Time(data[3]) * 1000
		if e, ok := madeUpEvent(now, data[0], data[1]%8, data[2]); ok {
			events = append(events, e)
		}
	}
	return events
}

func madeUpEvent(now xtrace.Time, kind, g, object byte) (xtrace.Event, bool) {
	id := xtrace.GoID(g)
	if g == 7 {
		id = xtrace.NoGoroutine
	}
	task := xtrace.Task{ID: xtrace.TaskID(object % 16), Parent: xtrace.TaskID(object / 16), Type: "task"}
	switch kind % 6 {
	case 0, 1:
		t := xtrace.MakeGoStateTransition(xtrace.GoID(object%7), xtrace.GoState(object/7%6), xtrace.GoState(object/42%6))
		t.Reason = []string{"sync", "chan send", "select", "network"}[object%4]
		return event(now, xtrace.EventStateTransition, id, t)
	case 2:
		return event(now, xtrace.EventTaskBegin, id, task)
	case 3:
		return event(now, xtrace.EventTaskEnd, id, task)
	case 4:
		kinds := []xtrace.EventKind{xtrace.EventRangeBegin, xtrace.EventRangeActive, xtrace.EventRangeEnd}
		names := []string{"stop-the-world (x)", "GC concurrent mark phase", "GC mark assist"}
		return event(now, kinds[object%3], id, xtrace.Range{Name: names[object/3%3], Scope: xtrace.MakeResourceID(xtrace.GoID(g))})
	default:
		return event(now, xtrace.EventLog, id, xtrace.Log{Task: task.ID, Category: tracectx.TraceLogCategory, Message: "0123456789abcdef01234567task"[:object%29]})
	}
}

func event[T xtrace.EventDetails](now xtrace.Time, kind xtrace.EventKind, g xtrace.GoID, details T) (xtrace.Event, bool) {
	e, err := xtrace.MakeEvent(xtrace.EventConfig[T]{Time: now, Kind: kind, Goroutine: g, Proc: xtrace.ProcID(g % 3), Details: details})
	return e, err == nil
}

// foreignEvents returns the events that the reader returns before it fails or panics.
// Calling the analyzer outside readEvents does not hide the analyzer's panics.
func foreignEvents(data []byte) (events []xtrace.Event) {
	_ = readEvents(context.Background(), bytes.NewReader(data), 10_000, func(e *xtrace.Event) error {
		events = append(events, *e)
		return nil
	})
	return events
}
