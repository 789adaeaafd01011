// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"maps"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// keptSpanSamples is the number of surveys that the history of a root-span name covers: more than
// batchSlots, and one after each recording.
const keptSpanSamples = 60

// spanLog holds the history of each root-span name.
type spanLog map[string]*spanHistory

// spanHistory is how many root spans of one name had ended at each survey.
type spanHistory struct {
	samples []spanSample  // oldest first, at least one
	active  int           // spans at the newest survey
	p99     time.Duration // of the durations of ended spans, 0 if unknown
	longest time.Duration // greatest p99 of all samples

	busy             int           // samples since whose predecessor spans ended
	firstEnd, newest time.Duration // the first and the newest of them, or the first sample
}

type spanSample struct {
	at    time.Duration
	ended uint64
}

// add adds the span groups of one snapshot and drops other names.
func (l spanLog) add(at time.Duration, groups map[string]runtimeinfo.SpanGroup) {
	maps.DeleteFunc(l, func(name string, _ *spanHistory) bool {
		_, present := groups[name]
		return !present
	})
	for name := range groups {
		g := groups[name]
		h := l[name]
		if h == nil {
			h = &spanHistory{newest: at}
			l[name] = h
		}
		if n := len(h.samples); n > 0 && g.Ended > h.samples[n-1].ended {
			if h.busy++; h.busy == 1 {
				h.firstEnd = at
			}
			h.newest = at
		}
		h.samples = appendBounded(h.samples, spanSample{at, g.Ended}, keptSpanSamples)
		h.active = g.Active
		if g.P99 > 0 {
			h.p99, h.longest = g.P99, max(h.longest, g.P99)
		}
	}
}

// endedWithin returns the number of spans of a name that ended in the last d, or ever if the
// history is shorter.
func (l spanLog) endedWithin(name string, now, d time.Duration) uint64 {
	h := l[name]
	if h == nil {
		return 0
	}
	var before uint64
	for _, s := range slices.Backward(h.samples) {
		if now-s.at >= d {
			before = s.ended
			break
		}
	}
	return h.samples[len(h.samples)-1].ended - before
}

// collapsed reports whether spans of a name took short and none ended in the last d, although
// at least the given number are active.
func (l spanLog) collapsed(name string, now, d time.Duration, active int) bool {
	const (
		enough = 20 // ended spans that show how long they take
		short  = 10 // times less than d
	)
	h := l[name]
	return h != nil && now-h.newest >= d && h.samples[len(h.samples)-1].ended >= enough && h.active >= active && h.p99 > 0 && short*h.p99 <= d
}

// halted reports whether spans of a name ended regularly until some time ago, and none since. That
// time must be at least d, at least 20 times the longest duration known, and ten times the mean
// time between samples in which spans ended. It also returns the time, and the number of active
// spans.
func (l spanLog) halted(name string, now, d time.Duration) (since time.Duration, active int, ok bool) {
	const (
		often = 5 // samples in which spans ended
		short = 20
		even  = 10
	)
	h := l[name]
	if h == nil || h.busy < often || h.longest == 0 {
		return 0, 0, false
	}
	since = now - h.newest
	apart := (h.newest - h.firstEnd) / time.Duration(h.busy-1)
	return since, h.active, since >= max(d, short*h.longest, even*apart)
}

// openOlder returns the number of spans that have been active for at least d, to a factor of
// two.
func openOlder(g *runtimeinfo.SpanGroup, d time.Duration) (n int) {
	for i, count := range g.Ages {
		if youngest := time.Second << i / 2; i > 0 && youngest >= d/2 {
			n += count
		}
	}
	return n
}

// anyActive reports whether a span with an age between the two may be active.
func anyActive(g *runtimeinfo.SpanGroup, youngest, oldest time.Duration) bool {
	const stale = 2 * time.Second // maximum age of the snapshot
	for i, count := range g.Ages {
		from, to := time.Duration(0), time.Second<<i
		if i > 0 {
			from = to / 2
		}
		if last := i == len(g.Ages)-1; count > 0 && from <= oldest && (last || youngest < to+stale) {
			return true
		}
	}
	return false
}
