// SPDX-License-Identifier: Apache-2.0

package page

import (
	"sort"
	"time"
)

const (
	// A moment is compared with a time before it that is beforeFactor times as long,
	// within bounds.
	beforeFactor = 4
	minBefore    = 30 * time.Second
	maxBefore    = 10 * time.Minute
	// momentGroups and momentSpans are the numbers of groups and spans that are listed.
	momentGroups = 24
	momentSpans  = 64
)

// momentJSON is the answer of api/v1/moment: what was different in a range.
type momentJSON struct {
	From     int64        `json:"from"`
	To       int64        `json:"to"`
	Before   [2]int64     `json:"before"`   // the range it is compared with
	Episodes []episode    `json:"episodes"` // that overlap it
	Changes  []changeJSON `json:"changes"`  // of every column, most significant first
	Groups   []groupJSON  `json:"groups"`   // of goroutines, suspects and then the largest growth first
	Survey   int64        `json:"survey,omitempty"`
	Earlier  int64        `json:"survey_before,omitempty"`
	Spans    []aliveJSON  `json:"spans"` // that were active, longest first
	Events   []event      `json:"events"`
}

// moment compares a range with the time before it, and before the episodes that
// overlap it.
func (e *Exporter) moment(from, to int64) *momentJSON {
	oldest, newest, _ := e.history.span()
	from, to = max(from, oldest), min(to, newest)
	m := &momentJSON{From: from, To: to, Groups: []groupJSON{}}
	e.store.mu.Lock()
	m.Episodes = e.store.episodes.within(from, to)
	m.Events = e.store.events.within(from, to)
	m.Spans = e.store.spans.within(from, to)
	m.Before = before(from, to, oldest, m.Episodes)
	m.compareGroups(&e.store.groups)
	e.store.mu.Unlock()
	sort.Slice(m.Spans, func(i, j int) bool { return m.Spans[i].age() > m.Spans[j].age() })
	m.Spans = m.Spans[:min(len(m.Spans), momentSpans)]
	m.Changes = e.changes(m.Before, [2]int64{from, to})
	return m
}

// before returns the range to compare with.
func before(from, to, oldest int64, episodes []episode) [2]int64 {
	end := from
	for i := range episodes {
		if episodes[i].From > oldest {
			end = min(end, episodes[i].From)
		}
	}
	length := time.Duration(to-from) * time.Millisecond * beforeFactor
	length = min(max(length, minBefore), maxBefore)
	return [2]int64{max(oldest, end-length.Milliseconds()), end}
}

// compareGroups compares the surveys at the ends of both ranges. The caller holds the
// store's mutex.
func (m *momentJSON) compareGroups(l *groupLog) {
	then, earlier := l.at(m.To), l.at(m.Before[1])
	if then == nil {
		return
	}
	m.Survey, m.Earlier = then.time, earlier.time
	for _, c := range then.counts {
		k := l.groups[c.id]
		if k == nil {
			continue // forgotten since
		}
		g := newGroupJSON(c.id, &k.group, k.verdict)
		g.Count = int(c.count)
		if then != earlier {
			g.Before = earlier.of(c.id)
		}
		m.Groups = append(m.Groups, g)
	}
	sort.SliceStable(m.Groups, func(i, j int) bool {
		a, b := &m.Groups[i], &m.Groups[j]
		if a.suspect() != b.suspect() {
			return a.suspect()
		}
		return a.Count-a.Before > b.Count-b.Before
	})
	m.Groups = m.Groups[:min(len(m.Groups), momentGroups)]
}

func (g *groupJSON) suspect() bool { return g.Verdict != nil && g.Verdict.Suspect }
