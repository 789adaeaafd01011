// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	maxEvents     = 512
	maxEventBytes = 4 << 10
	eventLogBytes = 192 << 10
)

// eventLog keeps the newest events. Guarded by the keeper's mutex.
type eventLog struct {
	all     []event // oldest first
	bytes   int
	last    uint64
	dropped uint64 // let go for want of room
}

// event is one event as the API has it.
type event struct {
	ID    uint64          `json:"id"`
	Time  int64           `json:"t"`
	Name  string          `json:"name"`
	Level string          `json:"level"`
	Text  string          `json:"text"`
	Attrs json.RawMessage `json:"attrs,omitempty"`
	Spans []spanRef       `json:"spans,omitempty"`

	row uint64 // it came with
}

// spanRef is a span by name and ids: its attributes are none of ours.
type spanRef struct {
	Name  string `json:"name"`
	Trace string `json:"trace"`
	Span  string `json:"span"`
	Start int64  `json:"start,omitempty"` // Unix ms
}

func refOf(s *runtimeinfo.Span) spanRef {
	return spanRef{Name: s.Name, Trace: s.TraceIDString(), Span: s.SpanIDString(), Start: s.Start.UnixMilli()}
}

func refsOf(spans []runtimeinfo.Span) []spanRef {
	refs := make([]spanRef, len(spans))
	for i := range spans {
		refs[i] = refOf(&spans[i])
	}
	return refs
}

// add appends the events of a snapshot, which go with a row, and lets the oldest go.
func (l *eventLog) add(s *runtimeinfo.Snapshot, row uint64) {
	for i := range s.Events {
		e := eventOf(s, &s.Events[i])
		l.last++
		e.ID, e.row = l.last, row
		l.all = append(l.all, e)
		l.bytes += e.size()
	}
	for len(l.all) > maxEvents || l.bytes > eventLogBytes {
		l.bytes -= l.all[0].size()
		l.all = slices.Delete(l.all, 0, 1)
		l.dropped++
	}
}

func eventOf(s *runtimeinfo.Snapshot, from *runtimeinfo.Event) event {
	e := event{Time: from.Time.UnixMilli(), Level: from.Severity.String(), Spans: refsOf(from.Spans[:min(len(from.Spans), 8)])}
	for k, v := range exporters.EventRecord(s, from) {
		switch k {
		case "event.name":
			e.Name, _ = v.(string)
		case "message":
			e.Text, _ = v.(string)
		case "attributes":
			if b, err := json.Marshal(v); err == nil && len(b) <= maxEventBytes {
				e.Attrs = b
			}
		}
	}
	e.Name, e.Text = cut(e.Name, 256), cut(e.Text, 2<<10)
	return e
}

// cut returns a copy of the beginning of a text.
func cut(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return strings.Clone(s)
}

func (e *event) size() int { return 128 + len(e.Name) + len(e.Text) + len(e.Attrs) + 160*len(e.Spans) }

// of returns the events that came with the rows of a range.
func (l *eventLog) of(first, last uint64) []event {
	var out []event
	for i := range l.all {
		if e := &l.all[i]; e.row >= first && e.row <= last {
			out = append(out, *e)
		}
	}
	return out
}

// within returns the events of a range.
func (l *eventLog) within(from, to int64) []event {
	out := []event{}
	for i := range l.all {
		if e := &l.all[i]; e.Time >= from && e.Time <= to {
			out = append(out, *e)
		}
	}
	return out
}
