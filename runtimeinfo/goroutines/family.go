// SPDX-License-Identifier: Apache-2.0

package goroutines

import "math"

// families finds groups that are made together: their members are created by the
// same call, or under the same root spans at the same times.
type families struct {
	t      *groupTracker
	byLine map[Site][]Key
	byRoot map[string][]Key
	groups map[Key]*Group // in the newest survey, by plain key
}

// maxRelatives bounds the groups that one is compared with.
const maxRelatives = 64

func (t *groupTracker) families() *families {
	f := &families{t: t, byLine: map[Site][]Key{}, byRoot: map[string][]Key{}, groups: make(map[Key]*Group, len(t.present))}
	for key, g := range t.present {
		f.groups[key.plain()] = g
	}
	for key, m := range t.members.groups {
		if m.count < minTracked {
			continue
		}
		for line := range m.chain {
			f.byLine[line] = append(f.byLine[line], key)
		}
		if g := f.groups[key]; g != nil && len(g.Births) > 0 && g.Births[0].Root != "" {
			root := g.Births[0].Root
			f.byRoot[root] = append(f.byRoot[root], key)
		}
	}
	return f
}

// related returns the groups that are made together with one and are about as large.
func (f *families) related(key Key, m *members, g *Group) (all []Key) {
	seen := map[Key]bool{key: true}
	add := func(list []Key, accept func(Key) bool) {
		for _, k := range list[:min(len(list), maxRelatives)] {
			if !seen[k] && similarSize(m.count, f.t.members.groups[k].count) && accept(k) {
				seen[k] = true
				all = append(all, k)
			}
		}
	}
	for line := range m.chain {
		add(f.byLine[line], func(Key) bool { return true })
	}
	if len(g.Births) > 0 && g.Births[0].Root != "" {
		add(f.byRoot[g.Births[0].Root], func(k Key) bool { return bornTogether(g, f.groups[k]) })
	}
	return all
}

// similarSize reports whether two counts differ by a fifth at most.
func similarSize(a, b int) bool { return 5*min(a, b) >= 4*max(a, b) }

// bornTogether reports whether the members of two groups were created under the same
// root spans at the same times, in some proportion: the cosine of their births.
func bornTogether(a, b *Group) bool {
	const (
		epochs = 3 // fewer tell nothing
		same   = 0.97
	)
	if a == nil || b == nil || len(a.Births) < epochs || len(b.Births) < epochs {
		return false
	}
	counts := make(map[origin]float64, len(a.Births))
	var aa, bb, ab float64
	for _, x := range a.Births {
		if x.Root == "" {
			continue
		}
		counts[origin{x.Root, x.Epoch}] = float64(x.Count)
		aa += float64(x.Count) * float64(x.Count)
	}
	for _, x := range b.Births {
		if x.Root == "" {
			continue
		}
		ab += counts[origin{x.Root, x.Epoch}] * float64(x.Count)
		bb += float64(x.Count) * float64(x.Count)
	}
	return aa > 0 && bb > 0 && ab >= same*math.Sqrt(aa*bb)
}
