// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// keptSpanSamples is how many surveys the history of one root-span name covers.
const keptSpanSamples = 40

// spanLog remembers how many root spans of each name had ended at each survey.
type spanLog struct {
	names map[string]*spanHistory
}

type spanHistory struct {
	samples []spanSample // oldest first
	usual   time.Duration
}

type spanSample struct {
	at     time.Duration
	ended  uint64
	active int
}

// add takes the groups of one snapshot. Names that are not among them are dropped.
func (l *spanLog) add(at time.Duration, groups map[string]runtimeinfo.SpanGroup) {
	for name := range l.names {
		if _, ok := groups[name]; !ok {
			delete(l.names, name)
		}
	}
	for name := range groups {
		g := groups[name]
		h := l.names[name]
		if h == nil {
			h = &spanHistory{}
			l.names[name] = h
		}
		h.samples = appendBounded(h.samples, spanSample{at, g.Ended, g.Active}, keptSpanSamples)
		if g.P99 > 0 {
			h.usual = g.P99
		}
	}
}

// before returns the newest sample that is at least so old.
func (h *spanHistory) before(now, d time.Duration) (s spanSample, ok bool) {
	for _, s := range slices.Backward(h.samples) {
		if now-s.at >= d {
			return s, true
		}
	}
	return s, false
}

// endedLately returns how many spans of the name ended within d, or since the first
// sample where the history is shorter.
func (l *spanLog) endedLately(name string, now, d time.Duration) uint64 {
	h := l.names[name]
	if h == nil || len(h.samples) == 0 {
		return 0
	}
	from, ok := h.before(now, d)
	if !ok {
		from = spanSample{}
	}
	return h.samples[len(h.samples)-1].ended - from.ended
}

// collapsed reports whether spans of the name used to end soon, and none has ended
// for the time d although many are active.
func (l *spanLog) collapsed(name string, now, d time.Duration, active int) bool {
	const (
		enough = 20 // ended spans that tell how long such spans take
		soon   = 10 // times shorter than d
	)
	h := l.names[name]
	if h == nil || len(h.samples) == 0 {
		return false
	}
	then, ok := h.before(now, d)
	last := h.samples[len(h.samples)-1]
	return ok && then.ended >= enough && last.ended == then.ended && last.active >= active && h.usual > 0 && soon*h.usual <= d
}

// openOlder counts the spans that have been active for at least d, to a factor of two.
func openOlder(g *runtimeinfo.SpanGroup, d time.Duration) (n int) {
	for i, count := range g.Ages {
		if youngest := time.Second << i / 2; i > 0 && youngest >= d/2 {
			n += count
		}
	}
	return n
}

// anyActive reports whether a span whose age is between the two may be active.
func anyActive(g *runtimeinfo.SpanGroup, youngest, oldest time.Duration) bool {
	const stale = 2 * time.Second // age of the snapshot that has the ages
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
