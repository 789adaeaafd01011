// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/hex"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// maxSpans is the number of spans that are kept, at about 100 bytes each.
	maxSpans = 2048
	// spansPerRow is the number of new active spans that are kept of one snapshot.
	spansPerRow = 4
	// maxSpanNames bounds the interned names.
	maxSpanNames = 256
)

// spanLog keeps which spans were seen active, and when, in a ring. It does not
// overwrite spans that are still active. The store's mutex guards it.
type spanLog struct {
	names map[string]string // interned
	ring  []seenSpan
	next  int
	index map[[8]byte]int // position in ring by span id
}

// seenSpan is a span and the snapshots that contained it. Times are Unix ms.
type seenSpan struct {
	trace       [16]byte
	id          [8]byte
	name        string
	start       int64
	first, last int64
}

func newSpanLog() spanLog {
	return spanLog{names: map[string]string{}, index: map[[8]byte]int{}}
}

// add updates known spans and adds at most spansPerRow new ones: first one of each
// name that is not kept yet, then the oldest.
func (l *spanLog) add(ms int64, spans []runtimeinfo.Span) {
	added := 0
	seen := map[string]bool{}
	for pass := range 2 {
		for i := range spans {
			sp := &spans[i]
			if at, ok := l.index[sp.SpanID]; ok {
				l.ring[at].last = ms
				seen[sp.Name] = true
				continue
			}
			if added == spansPerRow || pass == 0 && seen[sp.Name] {
				continue
			}
			seen[sp.Name] = true
			l.put(seenSpan{trace: sp.TraceID, id: sp.SpanID, name: l.intern(sp.Name), start: sp.Start.UnixMilli(), first: ms, last: ms}, ms)
			added++
		}
	}
}

// intern returns a shared copy of a name.
func (l *spanLog) intern(name string) string {
	if known, ok := l.names[name]; ok {
		return known
	}
	if len(l.names) >= maxSpanNames {
		clear(l.names)
	}
	l.names[name] = name
	return name
}

// put adds a span. In a full ring it overwrites the oldest one that is not active.
func (l *spanLog) put(s seenSpan, now int64) {
	if len(l.ring) < maxSpans {
		l.index[s.id] = len(l.ring)
		l.ring = append(l.ring, s)
		return
	}
	for range runtimeinfo.MaxSpans {
		if l.ring[l.next].last < now {
			break
		}
		l.next = (l.next + 1) % maxSpans
	}
	delete(l.index, l.ring[l.next].id)
	l.ring[l.next] = s
	l.index[s.id] = l.next
	l.next = (l.next + 1) % maxSpans
}

// aliveJSON is a span and when it was seen active.
type aliveJSON struct {
	spanRef
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

func (a *aliveJSON) age() int64 { return a.Last - a.Start }

// within returns the spans that were seen active in a range.
func (l *spanLog) within(from, to int64) []aliveJSON {
	out := []aliveJSON{}
	for i := range l.ring {
		if s := &l.ring[i]; s.last >= from && s.first <= to {
			ref := spanRef{Name: s.name, Trace: hex.EncodeToString(s.trace[:]), Span: hex.EncodeToString(s.id[:]), Start: s.start}
			out = append(out, aliveJSON{ref, s.first, s.last})
		}
	}
	return out
}

// spanRef identifies a span. Attributes of spans are never shown.
type spanRef struct {
	Name  string `json:"name"`
	Trace string `json:"trace"`
	Span  string `json:"span"`
	Start int64  `json:"start,omitempty"` // Unix ms
}

// refsOf returns references to the first n spans.
func refsOf(spans []runtimeinfo.Span, n int) []spanRef {
	refs := []spanRef{}
	for i := range spans[:min(len(spans), n)] {
		s := &spans[i]
		refs = append(refs, spanRef{Name: s.Name, Trace: s.TraceIDString(), Span: s.SpanIDString(), Start: s.Start.UnixMilli()})
	}
	return refs
}
