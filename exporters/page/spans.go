// SPDX-License-Identifier: Apache-2.0

package page

import (
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// maxSpans is how many spans are remembered, in about 100 bytes each.
	maxSpans = 2048
	// spansPerRow is how many active spans of a sample are remembered: the
	// oldest of each name first.
	spansPerRow = 4
)

// spanLog remembers which spans were seen active, and when. The longest-lived
// are never forgotten while they live. Guarded by the keeper's mutex.
type spanLog struct {
	names map[string]string // one copy of each name
	ring  []seenSpan
	next  int
	at    map[[8]byte]int // index into ring
}

// seenSpan is one span and the samples that saw it. Times are Unix ms.
type seenSpan struct {
	trace       [16]byte
	id          [8]byte
	name        string
	start       int64
	first, last int64
}

func newSpanLog() *spanLog {
	return &spanLog{names: map[string]string{}, at: map[[8]byte]int{}}
}

// add remembers some of the spans that are active in a sample.
func (l *spanLog) add(ms int64, spans []runtimeinfo.Span) {
	kept := 0
	seen := map[string]bool{}
	for pass := range 2 { // first one of each name, then the oldest
		for i := range spans {
			sp := &spans[i]
			if old, ok := l.at[sp.SpanID]; ok && l.ring[old].id == sp.SpanID {
				l.ring[old].last = ms
				seen[sp.Name] = true
				continue
			}
			if kept == spansPerRow || pass == 0 && seen[sp.Name] {
				continue
			}
			seen[sp.Name] = true
			l.put(seenSpan{trace: sp.TraceID, id: sp.SpanID, name: l.intern(sp.Name), start: sp.Start.UnixMilli(), first: ms, last: ms}, ms)
			kept++
		}
	}
}

// intern returns one copy of a name; names are few.
func (l *spanLog) intern(name string) string {
	if known, ok := l.names[name]; ok {
		return known
	}
	if len(l.names) >= 4*maxLabelled {
		clear(l.names)
	}
	l.names[name] = name
	return name
}

// put takes the place of the span that came first, unless that one is active
// still: then it is as if it came now.
func (l *spanLog) put(s seenSpan, now int64) {
	if len(l.ring) < maxSpans {
		l.at[s.id] = len(l.ring)
		l.ring = append(l.ring, s)
		return
	}
	for range spansPerRow * 16 { // more are not active at a time
		if l.ring[l.next].last < now {
			break
		}
		l.next = (l.next + 1) % maxSpans
	}
	delete(l.at, l.ring[l.next].id)
	l.ring[l.next] = s
	l.at[s.id] = l.next
	l.next = (l.next + 1) % maxSpans
}

// within returns the spans that were seen in a range, the longest-lived first
// come, at most so many.
func (l *spanLog) within(from, to int64) []seenSpan {
	var out []seenSpan
	for i := range l.ring {
		if s := &l.ring[i]; s.last >= from && s.first <= to {
			out = append(out, *s)
		}
	}
	return out
}
