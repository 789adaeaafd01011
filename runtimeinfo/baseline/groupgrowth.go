// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"sort"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// groupGrowth remembers the largest goroutine groups of one to two minutes ago.
type groupGrowth struct {
	before, recent, now []goroutineGroup
	rotated             time.Time
}

func (g *groupGrowth) update(s *runtimeinfo.Snapshot) {
	var now []goroutineGroup
	for p := range s.Series("gmpulse.goroutine_group.goroutines") {
		now = append(now, goroutineGroup{p.Labels[0], p.Labels[1], p.Labels[2], p.Labels[3], int(p.Number)})
	}
	if now == nil {
		return
	}
	g.now = now
	if passed := s.Time.Sub(g.rotated); passed >= time.Minute || passed < 0 {
		g.before, g.recent, g.rotated = g.recent, now, s.Time
	}
}

// goroutineGroup is one of the largest groups of goroutines in a snapshot.
type goroutineGroup struct {
	Wait, Site, Entry, Verdict string
	Goroutines                 int
}

// grownGroup is a goroutine group and by how many goroutines it has grown.
type grownGroup struct {
	goroutineGroup
	by int
}

// largest returns the three groups that have grown most.
func (g *groupGrowth) largest() (found []grownGroup) {
	old := g.before
	if old == nil {
		old = g.recent
	}
	for _, n := range g.now {
		by := n.Goroutines
		for _, o := range old {
			if o.Wait == n.Wait && o.Site == n.Site && o.Entry == n.Entry {
				by -= o.Goroutines
			}
		}
		if by >= max(5, n.Goroutines/10) {
			found = append(found, grownGroup{n, by})
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].by > found[j].by })
	return found[:min(3, len(found))]
}
