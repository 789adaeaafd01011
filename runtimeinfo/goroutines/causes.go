// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"cmp"
	"maps"
	"slices"
	"sort"
)

// ordered returns the open verdicts, worst first. Within a kind, verdicts that were reported come
// first, then larger ones: the first of an incident leads it.
func (t *groupTracker) ordered() []*openVerdict {
	reported := map[bool]int{true: 0, false: 1}
	return slices.SortedFunc(maps.Values(t.open), func(a, b *openVerdict) int {
		return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(reported[a.reported], reported[b.reported]),
			cmp.Compare(b.Count, a.Count), a.Key.compare(b.Key))
	})
}

// joinIncidents finds the leader of each verdict. Verdicts of one kind have one cause if one
// line creates their members, if the same root spans created them at the same times, or if
// their groups are known to grow together.
func (t *groupTracker) joinIncidents() {
	byCause := map[cause]*openVerdict{}
	byRoot := map[cause][]*openVerdict{}
	for _, o := range t.ordered() {
		g := t.present[o.Key]
		causes := t.causesOf(o, g)
		o.leader, o.Also = nil, nil
		for _, c := range causes {
			o.leader = cmp.Or(o.leader, byCause[c])
		}
		if g != nil && o.leader == nil && len(o.Roots) > 0 {
			t.joinByRoot(byRoot, o, g)
		}
		lead := cmp.Or(o.leader, o)
		if lead != o {
			lead.Also = append(lead.Also, o.Key)
		}
		for _, c := range causes {
			byCause[c] = cmp.Or(byCause[c], lead)
		}
	}
	for _, o := range t.open {
		sort.Slice(o.Also, func(i, j int) bool { return o.Also[i].compare(o.Also[j]) < 0 })
		if o.leader == nil {
			t.setHint(o)
		}
	}
}

// joinByRoot finds the leader of o among the verdicts of its kind and root span whose members
// were created at the same times as the members of g. If there is none, it adds o to them.
func (t *groupTracker) joinByRoot(byRoot map[cause][]*openVerdict, o *openVerdict, g *Group) {
	key := cause{alarm: alarmOf(o.Kind), name: o.Roots[0].Name}
	for _, lead := range byRoot[key] {
		if createdTogether(g, t.present[lead.Key]) {
			o.leader = lead
			return
		}
	}
	if list := byRoot[key]; len(list) < maxRelated {
		byRoot[key] = append(list, o)
	}
}

// cause is what verdicts of one incident have in common.
type cause struct {
	alarm Kind
	name  string // of the incident of a signature, or of a root span
	line  Site
}

// alarmOf returns the kind that the verdicts of an incident have in common.
func alarmOf(k Kind) Kind {
	if k == LeakProven {
		return Leak
	}
	return k
}

// causesOf returns the causes that join a verdict with others.
func (t *groupTracker) causesOf(o *openVerdict, g *Group) (all []cause) {
	if o.Creation != (Site{}) {
		all = append(all, cause{alarm: alarmOf(o.Kind), line: o.Creation})
	}
	if g != nil {
		if sig, ok := signatureOf(t.hints.signatures, g); ok && sig.incident != "" {
			all = append(all, cause{alarm: alarmOf(o.Kind), name: sig.incident})
		}
	}
	if o.Kind == Stuck { // in an outage, requests of all kinds wait at one site
		all = append(all, cause{alarm: Stuck, line: o.Key.Site})
	}
	return all
}

// setHint sets the hint of an alarm or of pressure.
func (t *groupTracker) setHint(o *openVerdict) {
	o.Hint = ""
	lead := t.present[o.Key]
	if lead == nil || !o.Kind.Suspect() && o.Kind != Pressure {
		return
	}
	groups := []*Group{lead}
	for _, k := range o.Also {
		if g := t.present[k]; g != nil {
			groups = append(groups, g)
		}
	}
	o.Hint = t.hints.hint(hintInput{kind: o.Kind, survey: t.newest, groups: groups, creation: o.creation, where: o.Where})
}
