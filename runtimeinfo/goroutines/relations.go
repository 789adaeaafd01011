// SPDX-License-Identifier: Apache-2.0

package goroutines

import "math"

// relations finds groups whose members are created together: by the same call, or under the
// same root spans at the same times.
type relations struct {
	t      *groupTracker
	byLine map[Site][]Key
	byRoot map[string][]Key
	groups map[Key]*Group // of the newest survey, by trace key
	io     map[string]int // goroutines that wait for a connection, by the label of their root span
}

// maxRelated bounds the groups that a group is compared with.
const maxRelated = 64

func (t *groupTracker) relations() *relations {
	f := &relations{t: t, byLine: map[Site][]Key{}, byRoot: map[string][]Key{}, groups: make(map[Key]*Group, len(t.present)), io: map[string]int{}}
	for key, g := range t.present {
		f.groups[key.traceKey()] = g
		if !onConnection(g) {
			continue
		}
		for _, o := range g.Origins {
			f.io[o.Root] += o.Count
		}
	}
	for key, m := range t.members.groups {
		if m.count < minCohort {
			continue
		}
		for line := range m.chain {
			f.byLine[line] = append(f.byLine[line], key)
		}
		if g := f.groups[key]; g != nil && len(g.Origins) > 0 && g.Origins[0].Root != "" {
			root := g.Origins[0].Root
			f.byRoot[root] = append(f.byRoot[root], key)
		}
	}
	return f
}

// related returns the groups of about the same size that are created together with g.
func (f *relations) related(key Key, m *members, g *Group) (all []Key) {
	seen := map[Key]bool{key: true}
	add := func(list []Key, accept func(Key) bool) {
		for _, k := range list[:min(len(list), maxRelated)] {
			if !seen[k] && similarSize(m.count, f.t.members.groups[k].count) && accept(k) {
				seen[k] = true
				all = append(all, k)
			}
		}
	}
	for line := range m.chain {
		add(f.byLine[line], func(Key) bool { return true })
	}
	if len(g.Origins) > 0 && g.Origins[0].Root != "" {
		add(f.byRoot[g.Origins[0].Root], func(k Key) bool { return createdTogether(g, f.groups[k]) })
	}
	return all
}

// onConnection reports whether the goroutines of a group wait for a network connection, or may do so.
func (f *relations) onConnection(k Key) bool {
	g := f.groups[k]
	return k.Class == IO && (g == nil || onConnection(g))
}

// similarSize reports whether two counts differ by at most a fifth.
func similarSize(a, b int) bool { return 5*min(a, b) >= 4*max(a, b) }

// createdTogether reports whether the members of two groups were created under the same root
// spans at the same times in constant proportion. It compares their origins by cosine.
func createdTogether(a, b *Group) bool {
	const (
		epochs = 3 // fewer are not conclusive
		same   = 0.97
	)
	if a == nil || b == nil || len(a.Origins) < epochs || len(b.Origins) < epochs {
		return false
	}
	counts := make(map[labelPair]float64, len(a.Origins))
	var aa, bb, ab float64
	for _, x := range a.Origins {
		if x.Root != "" {
			counts[labelPair{x.Root, x.Epoch}] = float64(x.Count)
			aa += float64(x.Count) * float64(x.Count)
		}
	}
	for _, x := range b.Origins {
		if x.Root != "" {
			ab += counts[labelPair{x.Root, x.Epoch}] * float64(x.Count)
			bb += float64(x.Count) * float64(x.Count)
		}
	}
	return aa > 0 && bb > 0 && ab >= same*math.Sqrt(aa*bb)
}
