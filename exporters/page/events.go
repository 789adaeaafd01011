// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Bounds of an eventLog. It truncates longer texts and drops larger attributes.
const (
	maxEvents       = 512
	maxEventName    = 256
	maxEventText    = 2 << 10
	maxAttrBytes    = 4 << 10
	maxEventSpans   = 8
	maxEventLogSize = 192 << 10
)

// eventLog keeps the newest events. The store's mutex guards it.
type eventLog struct {
	all    []event // oldest first
	bytes  int
	lastID uint64
}

// event is an event as the API has it.
type event struct {
	ID    uint64          `json:"id"`
	Time  int64           `json:"t"`
	Name  string          `json:"name"`
	Level string          `json:"level"`
	Text  string          `json:"text"`
	Attrs json.RawMessage `json:"attrs,omitempty"`
	Spans []spanRef       `json:"spans,omitempty"`

	row uint64 // the row that it is sent with
}

// add adds the events of a snapshot and drops the oldest events beyond the bounds.
func (l *eventLog) add(s *runtimeinfo.Snapshot, row uint64) {
	for i := range s.Events {
		e := newEvent(s, &s.Events[i])
		l.lastID++
		e.ID, e.row = l.lastID, row
		l.all = append(l.all, e)
		l.bytes += e.size()
	}
	n := 0
	for len(l.all)-n > maxEvents || l.bytes > maxEventLogSize {
		l.bytes -= l.all[n].size()
		n++
	}
	l.all = slices.Delete(l.all, 0, n)
}

func newEvent(s *runtimeinfo.Snapshot, from *runtimeinfo.Event) event {
	e := event{Time: from.Time.UnixMilli(), Level: from.Severity.String(), Spans: refsOf(from.Spans, maxEventSpans)}
	for k, v := range exporters.EventRecord(s, from) {
		switch k {
		case "event.name":
			e.Name, _ = v.(string)
		case "message":
			e.Text, _ = v.(string)
		case "attributes":
			if b, err := json.Marshal(v); err == nil && len(b) <= maxAttrBytes {
				e.Attrs = b
			}
		}
	}
	e.Name, e.Text = truncate(e.Name, maxEventName), truncate(e.Text, maxEventText)
	return e
}

// truncate returns a copy of the first n bytes of s.
func truncate(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return strings.Clone(s)
}

// size returns the memory of e.
func (e *event) size() int { return 128 + len(e.Name) + len(e.Text) + len(e.Attrs) + 160*len(e.Spans) }

// within returns the events of a range.
func (l *eventLog) within(from, to int64) []event {
	return where(l.all, func(e *event) bool { return e.Time >= from && e.Time <= to })
}

// ofRow returns the events that are sent with a row.
func (l *eventLog) ofRow(seq uint64) []event {
	return where(l.all, func(e *event) bool { return e.row == seq })
}
