// SPDX-License-Identifier: Apache-2.0

package page

import (
	"math"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	// maxSurveys is the number of surveys that are kept: an hour at one in five seconds.
	maxSurveys = 720
	// topGroups is the number of groups of a survey, largest first, that are counted.
	topGroups = 24
	// maxCounts is the number of counts of a survey, including groups with a verdict.
	maxCounts = 64
	// maxGroups is the number of groups that are described at the same time.
	maxGroups = 128
	// maxOrigins and maxFrames are kept of each group.
	maxOrigins = 8
	maxFrames  = 12
)

// groupLog keeps the sizes of groups of goroutines at each survey. The store's mutex
// guards it.
type groupLog struct {
	surveys []surveyCounts // oldest first
	newest  time.Time      // of the last survey
	ids     map[goroutines.Key]uint32
	groups  map[uint32]*knownGroup
	lastID  uint32
	taken   uint64 // number of surveys
}

// surveyCounts are the sizes of groups at one survey.
type surveyCounts struct {
	time   int64 // Unix ms
	counts []groupCount
}

type groupCount struct {
	id    uint32
	count int32
}

// knownGroup is a group as it was when it was last counted.
type knownGroup struct {
	group   goroutines.Group
	verdict *goroutines.Verdict // the last one, or nil
	seen    uint64              // number of the survey that counted it last
}

func newGroupLog() groupLog {
	return groupLog{ids: map[goroutines.Key]uint32{}, groups: map[uint32]*knownGroup{}}
}

// add adds the survey of a report, unless it is known, and updates verdicts.
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

// count records the sizes of the largest groups and of those with a verdict.
func (l *groupLog) count(s *goroutines.Survey, verdicts []goroutines.Verdict) {
	entry := surveyCounts{time: s.Time.UnixMilli()}
	counted := map[goroutines.Key]bool{}
	add := func(g *goroutines.Group) {
		counted[g.Key] = true
		entry.counts = append(entry.counts, groupCount{l.remember(g), int32(min(g.Count, math.MaxInt32))}) //nolint:gosec // bounded
	}
	for i := range s.Groups[:min(len(s.Groups), topGroups)] {
		add(&s.Groups[i])
	}
	for i := range verdicts[:min(len(verdicts), maxCounts-topGroups)] {
		if g := s.Get(verdicts[i].Key); g != nil && !counted[g.Key] {
			add(g)
		}
	}
	if len(l.surveys) == maxSurveys {
		l.surveys = slices.Delete(l.surveys, 0, 1)
	}
	l.surveys = append(l.surveys, entry)
}

// remember stores a description of a group and returns its id.
func (l *groupLog) remember(g *goroutines.Group) uint32 {
	id, ok := l.ids[g.Key]
	if !ok {
		l.makeRoom()
		l.lastID++
		id = l.lastID
		l.ids[g.Key] = id
		l.groups[id] = &knownGroup{}
	}
	k := l.groups[id]
	k.seen = l.taken
	k.group = *g
	k.group.Origins = slices.Clone(g.Origins[:min(len(g.Origins), maxOrigins)])
	k.group.Stack = slices.Clone(g.Stack[:min(len(g.Stack), maxFrames)])
	return id
}

// makeRoom forgets the group that was not counted for the longest time.
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

// at returns the last survey not after ms, or the first; nil if there is none.
func (l *groupLog) at(ms int64) *surveyCounts {
	for i := len(l.surveys) - 1; i >= 0; i-- {
		if s := &l.surveys[i]; s.time <= ms || i == 0 {
			return s
		}
	}
	return nil
}

// of returns the size of a group at a survey, 0 if it was not counted.
func (s *surveyCounts) of(id uint32) int {
	for _, c := range s.counts {
		if c.id == id {
			return int(c.count)
		}
	}
	return 0
}
