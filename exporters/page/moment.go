// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/hex"
	"math"
	"net/http"
	"sort"
	"time"
)

const (
	// beforeTimes is how much longer the time before is than the moment, and
	// beforeLeast and beforeMost its bounds.
	beforeTimes = 4
	beforeLeast = 30 * time.Second
	beforeMost  = 10 * time.Minute
	// momentGroups and momentSpans are how many are listed.
	momentGroups = 24
	momentSpans  = 64
)

// momentJSON is the answer of api/v1/moment: what was different then.
type momentJSON struct {
	From    int64        `json:"from"`
	To      int64        `json:"to"`
	Before  [2]int64     `json:"before"`  // what it is compared with
	Spells  []spell      `json:"spells"`  // in which it lies
	Changes []changeJSON `json:"changes"` // every column, the most telling first
	Groups  []groupJSON  `json:"groups"`  // of goroutines, those that grew most first
	Survey  int64        `json:"survey,omitempty"`
	Earlier int64        `json:"survey_before,omitempty"`
	Spans   []aliveJSON  `json:"spans"` // that were active, the longest first
	Events  []event      `json:"events"`
}

// changeJSON is one column before and during the moment.
type changeJSON struct {
	Key    string   `json:"key"`
	Before *float64 `json:"before"` // mean; null when it was absent
	During *float64 `json:"during"` // mean
	Peak   *float64 `json:"peak"`   // the value furthest from before
	// Score is how unusual it is: the difference of the means in units of how
	// much the column moved before.
	Score float64 `json:"score"`
}

type aliveJSON struct {
	spanRef
	First int64 `json:"first"` // when it was first and last seen active
	Last  int64 `json:"last"`
}

func (a *aliveJSON) age() int64 { return a.Last - a.Start }

func (e *Exporter) serveMoment(w http.ResponseWriter, r *http.Request) {
	from, to, err := timeRange(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	answer(w, r, e.moment(from, to))
}

// moment compares a range with the time before it, or, where it lies in a
// spell, before that.
func (e *Exporter) moment(from, to int64) momentJSON {
	oldest, newest, _ := e.history.span()
	from, to = max(from, oldest), min(to, newest)
	m := momentJSON{From: from, To: to, Changes: []changeJSON{}, Groups: []groupJSON{}, Spans: []aliveJSON{}}
	e.keeper.mu.Lock()
	m.Spells = e.keeper.spells.within(from, to)
	m.Events = e.keeper.events.within(from, to)
	for _, s := range e.keeper.spans.within(from, to) {
		m.Spans = append(m.Spans, s.alive())
	}
	m.Before = before(from, to, oldest, m.Spells)
	e.groupsInto(&m)
	e.keeper.mu.Unlock()
	sort.Slice(m.Spans, func(i, j int) bool { return m.Spans[i].age() > m.Spans[j].age() })
	m.Spans = m.Spans[:min(len(m.Spans), momentSpans)]
	m.Changes = e.changes(m.Before, [2]int64{from, to})
	return m
}

// before is the time to compare with.
func before(from, to, oldest int64, spells []spell) [2]int64 {
	end := from
	for _, s := range spells {
		if s.From > oldest {
			end = min(end, s.From)
		}
	}
	length := time.Duration(to-from) * time.Millisecond * beforeTimes
	length = min(max(length, beforeLeast), beforeMost)
	return [2]int64{max(oldest, end-length.Milliseconds()), end}
}

func (s *seenSpan) alive() aliveJSON {
	ref := spanRef{Name: s.name, Trace: hex.EncodeToString(s.trace[:]), Span: hex.EncodeToString(s.id[:]), Start: s.start}
	return aliveJSON{ref, s.first, s.last}
}

// groupsInto compares the surveys of the two times. The keeper is locked.
func (e *Exporter) groupsInto(m *momentJSON) {
	l := e.keeper.groups
	then, earlier := l.at(m.To), l.at(m.Before[1])
	if then == nil {
		return
	}
	m.Survey, m.Earlier = then.time, earlier.time
	if then == earlier { // nothing to compare with
		earlier = nil
	}
	for _, c := range then.counts {
		k := l.groups[c.id]
		if k == nil {
			continue // forgotten since
		}
		g := groupOf(c.id, &k.group, k.verdict)
		g.Count, g.Before = int(c.count), earlier.of(c.id)
		m.Groups = append(m.Groups, g)
	}
	sort.SliceStable(m.Groups, func(i, j int) bool {
		a, b := &m.Groups[i], &m.Groups[j]
		if sa, sb := suspicious(a), suspicious(b); sa != sb {
			return sa
		}
		return a.Count-a.Before > b.Count-b.Before
	})
	m.Groups = m.Groups[:min(len(m.Groups), momentGroups)]
}

func suspicious(g *groupJSON) bool { return g.Verdict != nil && g.Verdict.Suspect }

// changes compares every column, the most unusual first.
func (e *Exporter) changes(before, during [2]int64) []changeJSON {
	keys := e.history.directory()
	was, is := e.history.read(before[0], before[1]-1, nil), e.history.read(during[0], during[1], nil)
	out := make([]changeJSON, 0, len(keys))
	scales := e.scales()
	for c, key := range keys {
		a, b := momentsOf(was.rows, c, math.NaN()), momentsOf(is.rows, c, math.NaN())
		if a.n == 0 && b.n == 0 {
			continue
		}
		if a.n > 0 {
			b = momentsOf(is.rows, c, a.mean)
		}
		out = append(out, changeJSON{Key: key, Before: finite(a.mean), During: finite(b.mean), Peak: finite(b.far), Score: score(a, b, scales.least(key))})
	}
	rank := map[string]float64{}
	for i := range out {
		rank[out[i].Key] = scales.weight(out[i].Key) * min(math.Abs(out[i].Score), maxRanked)
	}
	sort.SliceStable(out, func(i, j int) bool { return rank[out[i].Key] > rank[out[j].Key] })
	return out
}

// spread is what is known of a column in a range.
type spread struct {
	n         int
	mean, dev float64
	far       float64 // the value furthest from a reference, or the greatest
}

func momentsOf(rows [][]float32, c int, reference float64) spread {
	s := spread{mean: math.NaN(), far: math.NaN()}
	var sum, squares float64
	for _, r := range rows {
		v := at(r, c)
		if isAbsent(v) {
			continue
		}
		x := float64(v)
		s.n++
		sum += x
		squares += x * x
		if math.IsNaN(s.far) || furtherFrom(x, s.far, reference) {
			s.far = x
		}
	}
	if s.n > 0 {
		s.mean = sum / float64(s.n)
		s.dev = math.Sqrt(max(0, squares/float64(s.n)-s.mean*s.mean))
	}
	return s
}

// furtherFrom tells whether x is further from a reference than y, or, without one,
// greater.
func furtherFrom(x, y, reference float64) bool {
	if math.IsNaN(reference) {
		return x > y
	}
	return math.Abs(x-reference) > math.Abs(y-reference)
}

// score is the difference of the means over how much the column moved before. A
// twentieth of its size, and least, count as moving anyway.
func score(before, during spread, least float64) float64 {
	if before.n == 0 || during.n == 0 {
		return 0
	}
	noise := before.dev + math.Abs(before.mean)/20 + least
	return min(max((during.mean-before.mean)/noise, -1000), 1000)
}

func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
