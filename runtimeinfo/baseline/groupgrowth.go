// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"cmp"
	"sort"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// groupGrowth remembers the largest goroutine groups of one to two minutes ago.
type groupGrowth struct {
	before, recent, now map[goroutineGroup]int // numbers of goroutines
	rotated             time.Time
}

// goroutineGroup is one of the largest groups of goroutines in a snapshot.
type goroutineGroup struct{ wait, site, entry string }

func (g *groupGrowth) update(s *runtimeinfo.Snapshot) {
	var now map[goroutineGroup]int
	for p := range s.Series("gmpulse.goroutine_group.goroutines") {
		if now == nil {
			now = map[goroutineGroup]int{}
		}
		now[goroutineGroup{p.Labels[0], p.Labels[1], p.Labels[2]}] = int(p.Number)
	}
	if now == nil {
		return
	}
	g.now = now
	if passed := s.Time.Sub(g.rotated); passed >= time.Minute || passed < 0 {
		g.before, g.recent, g.rotated = g.recent, now, s.Time
	}
}

// grownGroup is a goroutine group, its size, and by how many goroutines it has grown.
type grownGroup struct {
	goroutineGroup
	size, by int
}

// largest returns the three groups that have grown most.
func (g *groupGrowth) largest() (found []grownGroup) {
	old := g.before
	if old == nil {
		old = g.recent
	}
	for group, n := range g.now {
		if by := n - old[group]; by >= max(5, n/10) {
			found = append(found, grownGroup{group, n, by})
		}
	}
	sort.Slice(found, func(i, j int) bool {
		a, b := &found[i], &found[j]
		return cmp.Or(cmp.Compare(b.by, a.by), cmp.Compare(b.size, a.size), cmp.Compare(a.site, b.site)) < 0
	})
	return found[:min(3, len(found))]
}
