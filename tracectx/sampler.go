// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// SampleEvent is the name of the event that a long local root gets on the way.
const SampleEvent = "go.runtime.sample"

const (
	// longAfter is when a root is long. From then on its events are ever a half
	// further apart, so that maxSamples of them reach over minutes and leave room
	// for the application's own: a span keeps 128 events.
	longAfter  = 5 * time.Second
	maxSamples = 12

	// maxPerTick bounds the spans that get an event at one observation; those
	// left over have their turn at the next.
	maxPerTick = 64
)

// A sampler adds events to long spans while they last. It belongs to Observe.
type sampler struct {
	history *runtimeinfo.History
	ages    [maxSamples + 1]time.Duration // at which a span is due for an event, by how many it has
	due     []sdktrace.ReadWriteSpan
	next    int // shard to begin with next time: the first whose spans found no room
	full    bool
}

func newSampler(h *runtimeinfo.History) sampler {
	x := sampler{history: h}
	for age, i := longAfter, 0; i < maxSamples; i++ {
		x.ages[i] = age
		age += age / 2
	}
	x.ages[maxSamples] = math.MaxInt64 // never
	return x
}

// consider notes a span whose next event is due. The table is locked, so it is
// added later: a span has a lock of its own.
func (x *sampler) consider(shard int, s *slot, span sdktrace.ReadWriteSpan, age time.Duration) {
	if span == nil || age < x.ages[s.events] {
		return
	}
	if len(x.due) == maxPerTick {
		if !x.full {
			x.full, x.next = true, shard
		}
		return
	}
	s.events++
	x.due = append(x.due, span)
}

// sample adds an event to the spans that are due: how the process was doing at
// the newest tick, at the time of it.
func (x *sampler) sample() {
	if len(x.due) == 0 {
		return
	}
	if m, ok := x.history.Latest(); ok {
		options := []trace.EventOption{trace.WithTimestamp(m.Time()), trace.WithAttributes(
			attribute.Int64("go.goroutine.count", whole(m.Goroutines())),
			attribute.Int64("go.memory.gc.cycles", whole(m.Cycles())),
			attribute.Int64("gmpulse.memory.heap_alloc", whole(m.Heap())),
			attribute.Int("gmpulse.root_span.active", m.Roots()),
		)}
		for _, span := range x.due {
			span.AddEvent(SampleEvent, options...)
		}
	}
	clear(x.due)
	x.due, x.full = x.due[:0], false
}

// whole is a number of things, zero where it is not known.
func whole(v float64) int64 {
	if math.IsNaN(v) {
		return 0
	}
	return int64(v)
}
