// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// frame is one row with what came with it, encoded for viewers.
type frame struct {
	seq     uint64
	columns int // of the directory that the values go by
	data    []byte
}

// maxFrameSpans is how many active spans go with the newest frame.
const maxFrameSpans = 12

// moment is what goes with the newest row only.
type moment struct {
	Spans   []spanRef `json:"spans,omitempty"` // active, the oldest first
	Spells  []spell   `json:"spells"`          // that last
	Surveys uint64    `json:"surveys"`         // taken: there is something new at api/v1/goroutines
}

// frames encodes the rows after one, at most so many. It is incomplete, and
// empty, when there are more.
func (e *Exporter) frames(after uint64, most int) (frames []frame, complete bool) {
	_, _, newest := e.history.span()
	if newest < after || newest-after > uint64(most) { //nolint:gosec // most is positive
		return nil, false
	}
	frames, _ = e.some(after, most)
	return frames, true
}

// some encodes the next rows after one, at most so many, and reports whether there are
// more.
func (e *Exporter) some(after uint64, most int) (frames []frame, more bool) {
	t, columns, newest := e.history.after(after, most)
	if len(t.seqs) == 0 {
		return nil, false
	}
	first, last := t.seqs[0], t.seqs[len(t.seqs)-1]
	e.keeper.mu.Lock()
	events := e.keeper.events.of(first, last)
	e.keeper.mu.Unlock()
	for i, seq := range t.seqs {
		b := make([]byte, 0, 64+8*len(t.rows[i]))
		b = append(b, `{"t":`...)
		b = strconv.AppendInt(b, t.times[i], 10)
		b = append(b, `,"v":`...)
		b = appendNumbers(b, t.rows[i])
		if own := eventsOf(events, seq); len(own) > 0 {
			b = append(append(b, `,"events":`...), encode(own)...)
		}
		if seq == newest {
			b = append(append(b, `,"now":`...), encode(e.now())...)
		}
		frames = append(frames, frame{seq: seq, columns: columns, data: append(b, '}')})
	}
	return frames, last < newest
}

// now returns what goes with the newest row.
func (e *Exporter) now() moment {
	e.keeper.mu.Lock()
	m := moment{Spells: e.keeper.spells.within(math.MaxInt64-1, math.MaxInt64), Surveys: e.keeper.groups.taken}
	e.keeper.mu.Unlock()
	if s := e.latest.Load(); s != nil {
		m.Spans = refsOf(s.Spans[:min(len(s.Spans), maxFrameSpans)])
	}
	return m
}

func eventsOf(events []event, seq uint64) []event {
	return slices.Collect(func(yield func(event) bool) {
		for i := range events {
			if events[i].row == seq && !yield(events[i]) {
				return
			}
		}
	})
}

// appendNumbers encodes values with the six digits that a screen has room for.
// What is absent, or not finite, is null.
func appendNumbers(b []byte, values []float32) []byte {
	b = append(b, '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNumber(b, v)
	}
	return append(b, ']')
}

func appendNumber(b []byte, v float32) []byte {
	if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	if v == float32(int32(v)) {
		return strconv.AppendInt(b, int64(v), 10)
	}
	return strconv.AppendFloat(b, float64(v), 'g', 6, 32)
}

// encode is JSON of our own types, which cannot fail.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}

// attribute is the value of a key of a snapshot's resource, "" for none.
func attribute(s *runtimeinfo.Snapshot, key string) string {
	if s == nil {
		return ""
	}
	for _, a := range s.Resource {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}
