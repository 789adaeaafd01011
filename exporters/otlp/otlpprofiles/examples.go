// SPDX-License-Identifier: Apache-2.0

package otlpprofiles

import (
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

const (
	// maxExamples bounds the spans that are kept, which take 200 bytes each.
	maxExamples = 512
	// keepExample is how long a span is kept after it was last active: the longest CPU profile that the
	// live page takes.
	keepExample = 5 * time.Minute
)

// examples are sampled root spans that were active at one of the last ticks. A profile has no ids of
// spans, so that its samples are linked to a span with the same name. The zero value is ready to use.
type examples struct {
	mu    sync.Mutex
	spans map[[8]byte]*example
	tick  time.Time // of the newest snapshot
}

type example struct {
	runtimeinfo.Span
	root string    // value of the profiler label
	seen time.Time // the last tick at which the span was active
}

// add adds the active spans of a snapshot.
func (e *examples) add(s *runtimeinfo.Snapshot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.spans == nil {
		e.spans = map[[8]byte]*example{}
	}
	e.tick = s.Time
	for i := range s.Spans {
		x := &s.Spans[i]
		if !x.Sampled || x.TraceID == [16]byte{} || x.SpanID == [8]byte{} {
			continue
		}
		known := e.spans[x.SpanID]
		if known == nil {
			// A span that is renamed keeps the label of its first name.
			known = &example{Span: *x, root: tracectx.LabelValue(x.Name)}
			e.spans[x.SpanID] = known
		}
		known.seen = s.Time
	}
	e.prune()
}

// prune removes spans that ended long ago, and those that ended first if there are too many. e.mu is held.
func (e *examples) prune() {
	for id, x := range e.spans {
		if e.tick.Sub(x.seen) > keepExample {
			delete(e.spans, id)
		}
	}
	for len(e.spans) > maxExamples {
		var oldest *example
		for _, x := range e.spans {
			if oldest == nil || x.seen.Before(oldest.seen) {
				oldest = x
			}
		}
		delete(e.spans, oldest.SpanID)
	}
}

// find returns the span of a root that was active for the longest part of a time, nil if there is none.
func (e *examples) find(root string, from time.Time, d time.Duration) *runtimeinfo.Span {
	e.mu.Lock()
	defer e.mu.Unlock()
	to := from.Add(d)
	var best *example
	var most time.Duration
	for _, x := range e.spans {
		end := x.seen
		if end.Equal(e.tick) && to.After(end) { // still active, as far as is known
			end = to
		}
		if x.root != root || x.Start.After(to) || end.Before(from) {
			continue
		}
		overlap := min(d, end.Sub(from), to.Sub(x.Start), end.Sub(x.Start))
		if best == nil || overlap > most || overlap == most && x.Start.Before(best.Start) {
			best, most = x, overlap
		}
	}
	if best == nil {
		return nil
	}
	return &best.Span
}
