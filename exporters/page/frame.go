// SPDX-License-Identifier: Apache-2.0

package page

import (
	"math"
	"strconv"
)

// frame is a row with the events that are sent with it, encoded once for all viewers.
type frame struct {
	seq     uint64
	columns int // number of columns that the client must know
	data    []byte
}

// maxFrameSpans is the number of active spans that the newest frame has.
const maxFrameSpans = 12

type frameJSON struct {
	Time   int64        `json:"t"`
	Values numbers      `json:"v"`
	Events []event      `json:"events,omitempty"`
	Now    *currentJSON `json:"now,omitempty"` // of the newest frame only
}

type currentJSON struct {
	Spans    []spanRef `json:"spans,omitempty"` // active, oldest first
	Episodes []episode `json:"episodes"`        // that last
	Surveys  uint64    `json:"surveys"`         // number of surveys so far
}

// framesAfter encodes at most n rows that are newer than row seq, oldest first. It
// reports whether there are more.
func (e *Exporter) framesAfter(seq uint64, n int) (frames []frame, more bool) {
	t, columns, newest := e.history.after(seq, n)
	for i, seq := range t.seqs {
		frames = append(frames, e.encodeFrame(seq, t.times[i], t.rows[i], columns, seq == newest))
	}
	return frames, len(frames) > 0 && last(t.seqs) < newest
}

func (e *Exporter) encodeFrame(seq uint64, ms int64, row []float32, columns int, newest bool) frame {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	f := frameJSON{Time: ms, Values: row, Events: e.store.events.ofRow(seq)}
	if newest {
		f.Now = &currentJSON{Episodes: e.store.episodes.lasting(), Surveys: e.store.groups.taken}
		if s := e.latest.Load(); s != nil {
			f.Now.Spans = refsOf(s.Spans, maxFrameSpans)
		}
	}
	return frame{seq: seq, columns: columns, data: encode(f)}
}

// numbers is a list of values. Values that are absent or infinite are null in JSON,
// others have six significant digits.
type numbers []float32

// MarshalJSON returns n as JSON.
func (n numbers) MarshalJSON() ([]byte, error) {
	return n.append(make([]byte, 0, 8*len(n)+2)), nil
}

func (n numbers) append(b []byte) []byte {
	b = append(b, '[')
	for i, v := range n {
		if i > 0 {
			b = append(b, ',')
		}
		switch f := float64(v); {
		case math.IsNaN(f) || math.IsInf(f, 0):
			b = append(b, "null"...)
		case f == math.Trunc(f) && math.Abs(f) < 1<<31:
			b = strconv.AppendInt(b, int64(f), 10)
		default:
			b = strconv.AppendFloat(b, f, 'g', 6, 32)
		}
	}
	return append(b, ']')
}
