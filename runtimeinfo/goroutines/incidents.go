// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"slices"
	"sort"
)

// report joins the verdicts that have one cause, and makes events of what is new.
func (t *groupTracker) report(in *circumstances) {
	t.joinIncidents()
	for _, o := range t.ordered() {
		if o.Kind == Growing || o.leader != nil {
			continue
		}
		switch {
		case !o.reported:
			t.say(o, "goroutine.verdict.opened", in)
		case o.Kind.Suspect() && o.Count >= 2*o.reportedSize:
			t.say(o, "goroutine.verdict.doubled", in)
		}
	}
}

// say makes an event.
func (t *groupTracker) say(o *openVerdict, name string, in *circumstances) {
	o.reported, o.reportedSize = true, max(1, o.Count)
	t.addHint(o)
	t.pending = append(t.pending, o.event(name, in.now))
}

// addHint sets the hint of a suspect.
func (t *groupTracker) addHint(o *openVerdict) {
	o.Hint = ""
	if !o.Kind.Suspect() && o.Kind != Pressure {
		return
	}
	groups := []*Group{t.present[o.Key]}
	for _, k := range o.Also {
		if g := t.present[k]; g != nil {
			groups = append(groups, g)
		}
	}
	if groups[0] == nil {
		return
	}
	o.Hint = t.hints.hint(hintInput{kind: o.Kind, survey: t.newest, groups: groups, creation: o.creation, where: o.Where})
}

// ordered returns the open verdicts, those that may lead an incident first: ones that
// were reported, then the larger.
func (t *groupTracker) ordered() []*openVerdict {
	all := make([]*openVerdict, 0, len(t.open))
	for _, o := range t.open {
		all = append(all, o)
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		switch {
		case rank(a.Kind) != rank(b.Kind):
			return rank(a.Kind) < rank(b.Kind)
		case a.reported != b.reported:
			return a.reported
		case a.Count != b.Count:
			return a.Count > b.Count
		default:
			return a.Key.compare(b.Key) < 0
		}
	})
	return all
}

// joinIncidents finds the leader of each verdict. Verdicts of one kind have one cause
// if one line creates their members, if the same root spans created them at the same
// times, or if they are known to come together.
func (t *groupTracker) joinIncidents() {
	byCause := map[cause]*openVerdict{}
	byRoot := map[rootKind][]*openVerdict{}
	for _, o := range t.ordered() {
		g := t.present[o.Key]
		causes := t.causesOf(o, g)
		o.leader, o.Also = leaderOf(byCause, causes), nil
		if g != nil && o.leader == nil && len(o.Roots) > 0 {
			t.joinByRoot(byRoot, o, g)
		}
		lead := o
		if o.leader != nil {
			lead = o.leader
			lead.Also = append(lead.Also, o.Key)
		}
		for _, c := range causes {
			if byCause[c] == nil {
				byCause[c] = lead
			}
		}
	}
	for _, o := range t.open {
		slices.SortFunc(o.Also, Key.compare)
		if o.leader == nil {
			t.addHint(o)
		}
	}
}

// leaderOf returns the verdict that has the first of the causes that any has, or nil.
func leaderOf(byCause map[cause]*openVerdict, causes []cause) *openVerdict {
	for _, c := range causes {
		if lead := byCause[c]; lead != nil {
			return lead
		}
	}
	return nil
}

// joinByRoot finds the leader of o among the verdicts of its kind and root span whose
// members were created at the same times as the members of g; it adds o if there is none.
func (t *groupTracker) joinByRoot(byRoot map[rootKind][]*openVerdict, o *openVerdict, g *Group) {
	key := rootKind{o.Roots[0].Name, alarmOf(o.Kind)}
	for _, lead := range byRoot[key] {
		if bornTogether(g, t.present[lead.Key]) {
			o.leader = lead
			return
		}
	}
	if list := byRoot[key]; len(list) < maxRelatives {
		byRoot[key] = append(list, o)
	}
}

// alarmOf is what kinds must have in common to be of one incident.
func alarmOf(k Kind) string {
	if k == LeakProven {
		return string(Leak)
	}
	return string(k)
}

// cause is something that groups of one incident have in common.
type cause struct {
	alarm, incident string
	line            Site
}

type rootKind struct{ root, alarm string }

func (t *groupTracker) causesOf(o *openVerdict, g *Group) (all []cause) {
	if o.Creation != (Site{}) {
		all = append(all, cause{alarm: alarmOf(o.Kind), line: o.Creation})
	}
	if g != nil {
		if sig, ok := recognise(t.known, g); ok && sig.incident != "" {
			all = append(all, cause{alarm: alarmOf(o.Kind), incident: sig.incident})
		}
	}
	if o.Kind == Stuck { // in an outage all wait at one place, whoever they are
		all = append(all, cause{alarm: string(Stuck), line: o.Key.Site})
	}
	return all
}

// kinds returns the verdict on each group.
func (t *groupTracker) kinds() map[Key]Kind {
	all := make(map[Key]Kind, len(t.open))
	for key, o := range t.open {
		all[key] = o.Kind
	}
	return all
}

// undecided reports whether some group is watched, and it is not known yet what it is.
func (t *groupTracker) undecided() bool {
	for key, o := range t.open {
		if (o.Kind == Growing || o.Kind == Burst) && t.tracks[key].watch != nil {
			return true
		}
	}
	return false
}

// worthProof reports whether the garbage collector should be asked: members of some
// group did not run during two recordings, and it is no set of connections.
func (t *groupTracker) worthProof() bool {
	for key, tr := range t.tracks {
		if tr.watch == nil || t.present[key] == nil || t.present[key].Count < t.rules.minGrowth {
			continue
		}
		if f := &tr.watch.facts; f.looks >= 2 && f.silentGroup() && !f.sessions && !f.comesAndGoes() && f.sibling == nil {
			return true
		}
	}
	return false
}
