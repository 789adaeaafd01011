// SPDX-License-Identifier: Apache-2.0

package page

import (
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	// maxSurveys at one in five seconds are an hour.
	maxSurveys = 720
	// topGroups is how many groups of a survey are counted in the log: the largest.
	topGroups = 24
	// maxCounts is how many are counted with those that have a verdict.
	maxCounts = 64
	// maxGroups is how many groups are known at a time.
	maxGroups = 128
)

// groupLog keeps how many goroutines were in which group at each survey.
// Guarded by the keeper's mutex.
type groupLog struct {
	surveys []survey  // oldest first
	newest  time.Time // of the last survey; the survey itself is the detective's
	ids     map[goroutines.Key]uint32
	groups  map[uint32]*knownGroup
	next    uint32
	taken   uint64
}

// survey is one survey in short.
type survey struct {
	time   int64 // Unix ms
	total  int32
	counts []groupCount
}

type groupCount struct {
	id    uint32
	count int32
}

// knownGroup is a group as it was when it was last among the largest.
type knownGroup struct {
	group   goroutines.Group
	verdict *goroutines.Verdict // the last one, nil if there never was any
	seen    uint64              // number of the survey
}

func newGroupLog() *groupLog {
	return &groupLog{ids: map[goroutines.Key]uint32{}, groups: map[uint32]*knownGroup{}}
}

// add takes a report; one whose survey is known already only renews verdicts.
func (l *groupLog) add(r *goroutines.Report) {
	if r.Survey == nil {
		return
	}
	if !r.Survey.Time.Equal(l.newest) {
		l.newest = r.Survey.Time
		l.taken++
		l.count(r.Survey, r.Verdicts)
	}
	for i := range r.Verdicts {
		v := r.Verdicts[i]
		if id, ok := l.ids[v.Key]; ok {
			l.groups[id].verdict = &v
		}
	}
}

// count logs the largest groups of a survey, and those with a verdict.
func (l *groupLog) count(s *goroutines.Survey, verdicts []goroutines.Verdict) {
	entry := survey{time: s.Time.UnixMilli(), total: clamp(s.Goroutines)}
	for i := range s.Groups[:min(len(s.Groups), topGroups)] {
		g := &s.Groups[i]
		entry.counts = append(entry.counts, groupCount{l.know(g), clamp(g.Count)})
	}
	counted := map[goroutines.Key]bool{}
	for i := range s.Groups[:len(entry.counts)] {
		counted[s.Groups[i].Key] = true
	}
	for i := range verdicts[:min(len(verdicts), maxCounts-topGroups)] {
		if counted[verdicts[i].Key] {
			continue
		}
		if g := s.Get(verdicts[i].Key); g != nil {
			entry.counts = append(entry.counts, groupCount{l.know(g), clamp(g.Count)})
		}
	}
	if len(l.surveys) == maxSurveys {
		l.surveys = slices.Delete(l.surveys, 0, 1)
	}
	l.surveys = append(l.surveys, entry)
}

func clamp(n int) int32 { return int32(min(n, 1<<31-1)) } //nolint:gosec // just clamped

// know returns the number of a group and remembers it, without its many births.
func (l *groupLog) know(g *goroutines.Group) uint32 {
	id, ok := l.ids[g.Key]
	if !ok {
		l.makeRoom()
		l.next++
		id = l.next
		l.ids[g.Key] = id
		l.groups[id] = &knownGroup{}
	}
	k := l.groups[id]
	k.seen = l.taken
	k.group = *g
	k.group.Origins = slices.Clone(g.Origins[:min(len(g.Origins), 8)])
	k.group.Stack = slices.Clone(g.Stack[:min(len(g.Stack), 12)])
	return id
}

// makeRoom forgets the group that was among the largest longest ago.
func (l *groupLog) makeRoom() {
	if len(l.groups) < maxGroups {
		return
	}
	var oldest uint32
	for id, k := range l.groups {
		if oldest == 0 || k.seen < l.groups[oldest].seen {
			oldest = id
		}
	}
	delete(l.ids, l.groups[oldest].group.Key)
	delete(l.groups, oldest)
}

// at returns the last survey not after ms, else the first; nil without any.
func (l *groupLog) at(ms int64) *survey {
	if len(l.surveys) == 0 {
		return nil
	}
	i, exact := slices.BinarySearchFunc(l.surveys, ms, func(s survey, ms int64) int { return int(s.time - ms) })
	if !exact && i > 0 {
		i--
	}
	return &l.surveys[i]
}

// of returns the count of a group in a survey; what was not among the largest
// counts as none.
func (s *survey) of(id uint32) int {
	if s == nil {
		return 0
	}
	for _, c := range s.counts {
		if c.id == id {
			return int(c.count)
		}
	}
	return 0
}
