// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// sampleEvent is the name of the events on long spans.
const sampleEvent = "gmpulse.runtime.sample"

const (
	// longAfter is the age at which a root gets the first event. The age at each
	// further event is half as long again. 12 events reach until 7 minutes and leave
	// room for the application's own: a span keeps 128 events.
	longAfter = 5 * time.Second
	maxEvents = 12

	// maxPerTick is the number of spans that get an event at one observation. The
	// others get theirs at the next.
	maxPerTick = 64
)

// longSpans adds events to long spans while they are active. Only Observe uses it.
type longSpans struct {
	history *History
	ages    [maxEvents + 1]time.Duration // at which an event is due, by the number of earlier events
	due     []sdktrace.ReadWriteSpan
	first   int // shard at which the observation begins: the first one with spans left over
	full    bool
}

func newLongSpans(h *History) longSpans {
	x := longSpans{history: h}
	for age, i := longAfter, 0; i < maxEvents; i++ {
		x.ages[i] = age
		age += age / 2
	}
	x.ages[maxEvents] = math.MaxInt64 // never
	return x
}

// consider selects a span if an event is due. It does not add the event, because the
// table is locked and a span has a lock of its own.
func (x *longSpans) consider(shard int, s *slot, span sdktrace.ReadWriteSpan, age time.Duration) {
	if span == nil || age < x.ages[s.events] {
		return
	}
	if len(x.due) == maxPerTick {
		if !x.full {
			x.full, x.first = true, shard
		}
		return
	}
	s.events++
	x.due = append(x.due, span)
}

// addEvents adds an event with the values of the newest tick to the selected spans.
func (x *longSpans) addEvents() {
	if len(x.due) == 0 {
		return
	}
	if t := x.history.newest(); t != nil {
		options := []trace.EventOption{trace.WithTimestamp(t.time), trace.WithAttributes(
			attribute.Int64("gmpulse.goroutine.count", integer(t.numbers[colGoroutines])),
			attribute.Int64("gmpulse.gc.cycles", integer(t.numbers[colCycles])),
			attribute.Int64("gmpulse.memory.heap_alloc", integer(t.numbers[colHeap])),
			attribute.Int("gmpulse.root_span.active", t.roots),
		)}
		for _, span := range x.due {
			span.AddEvent(sampleEvent, options...)
		}
	}
	clear(x.due)
	x.due, x.full = x.due[:0], false
}

// integer returns v as an integer, 0 for NaN.
func integer(v float64) int64 {
	if math.IsNaN(v) {
		return 0
	}
	return int64(v)
}
