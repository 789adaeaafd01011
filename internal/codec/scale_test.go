// SPDX-License-Identifier: Apache-2.0

package codec_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// largeSnapshot returns a snapshot with n spans, groups, bands and events.
func largeSnapshot(n int) *runtimeinfo.Snapshot {
	s := runtimeinfo.NewSnapshot()
	at := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	s.Seq, s.Time, s.Start = 1, at, at
	for i := range n {
		name := "GET /" + strconv.Itoa(10_000+i)
		s.Spans = append(s.Spans, runtimeinfo.Span{Name: name, TraceID: [16]byte{1}, SpanID: [8]byte{2}, Start: at})
		s.SpanGroups = append(s.SpanGroups, runtimeinfo.SpanGroup{Name: name, Active: 1, Oldest: at})
		s.Bands = append(s.Bands, runtimeinfo.Band{Signal: name, Value: 1, Upper: 2})
		s.Events = append(s.Events, runtimeinfo.Event{Time: at, Name: "n", Message: name})
	}
	return s
}

// Size and allocations are proportional to the number of spans, groups, bands and events.
func TestCostIsLinear(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	cost := func(n int) (bytes int, write, read float64) {
		s := largeSnapshot(n)
		var enc codec.Encoder
		b, err := enc.Append(nil, s)
		if err != nil {
			t.Fatal(err)
		}
		_, schema := enc.Schema()
		var dec codec.Decoder
		if _, err := dec.Learn(schema); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 0, 2*len(b))
		write = testing.AllocsPerRun(10, func() { _, _ = enc.Append(buf, s) })
		read = testing.AllocsPerRun(10, func() { _, _ = dec.Decode(b) })
		return len(b), write, read
	}
	const few, many = 250, 2000
	b1, w1, r1 := cost(few)
	b2, w2, r2 := cost(many)
	const factor, slack = many / few, 1.1
	if float64(b2) > slack*factor*float64(b1) || w2 > slack*factor*w1+10 || r2 > slack*factor*r1+10 {
		t.Errorf("%d of each: %d bytes, %v and %v allocations; %d of each: %d bytes, %v and %v", few, b1, w1, r1, many, b2, w2, r2)
	}
}
