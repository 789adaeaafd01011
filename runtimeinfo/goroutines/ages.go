// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// labelFacts is what the labels of a group's members tell.
type labelFacts struct {
	labelled int      // members created under a span
	old      int      // of those, the ones older than openAge, as far as epochs tell
	open     int      // members whose root span may still be open, at most
	names    []string // of the root spans, most members first
	roots    []Root
	ages     []Age
}

// ageSteps are the ages that verdicts report.
func ageSteps() []time.Duration {
	return []time.Duration{0, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 12 * time.Hour}
}

// maxExamples is how many example spans a root has in a verdict.
const maxExamples = 3

// rootTally is a Root in the making.
type rootTally struct {
	Root
	names   []string
	spans   runtimeinfo.SpanGroup // of all names behind the label
	epochs  []epochTally
	covered int // members from an epoch from which a span may still be active
}

// labelFactsOf evaluates the labels of a group.
func (t *groupTracker) labelFactsOf(g *Group, in *circumstances) (f labelFacts) {
	if t.origins == nil {
		return f
	}
	byRoot := map[string]*rootTally{}
	counts := make([]int, len(ageSteps()))
	for _, b := range g.Births {
		if b.Root == "" {
			continue
		}
		f.labelled += b.Count
		o := t.bornAt(b.Root, b.Epoch)
		r := t.rootOf(byRoot, b.Root, o.Names, in)
		r.Count += b.Count
		r.epochs = append(r.epochs, epochTally{b.Count, o.Ended})
		if !o.ok {
			continue
		}
		if room := maxExamples - len(r.Examples); room > 0 {
			r.Examples = append(r.Examples, o.Examples[:min(room, len(o.Examples))]...)
		}
		age := max(0, in.now.Sub(o.To))
		addAge(counts, age, b.Count)
		if age >= t.rules.openAge() {
			f.old += b.Count
		}
		if anyActive(&r.spans, age, in.now.Sub(o.From)) {
			r.covered += b.Count
		}
	}
	for i, n := range counts {
		if n > 0 {
			f.ages = append(f.ages, Age{AtLeast: ageSteps()[i], Count: n})
		}
	}
	t.sumRoots(&f, byRoot, in)
	return f
}

// addAge adds n to the counts of the age steps that age has reached.
func addAge(counts []int, age time.Duration, n int) {
	for i, step := range ageSteps() {
		if age >= step {
			counts[i] += n
		}
	}
}

// bornAt is an answer of Origins.
type bornAt struct {
	runtimeinfo.Origin
	ok bool
}

// bornAt asks Origins, once for each pair of labels in a survey.
func (t *groupTracker) bornAt(root, epoch string) *bornAt {
	key := origin{root, epoch}
	b := t.births[key]
	if b == nil {
		b = &bornAt{}
		b.Origin, b.ok = t.origins.Origin(root, epoch)
		t.births[key] = b
	}
	return b
}

// rootOf returns the tally of a label.
func (t *groupTracker) rootOf(byRoot map[string]*rootTally, label string, names []string, in *circumstances) *rootTally {
	r := byRoot[label]
	if r != nil {
		return r
	}
	if len(names) == 0 {
		names = []string{label}
	}
	r = &rootTally{Root: Root{Name: label}, names: names}
	if len(names) == 1 {
		r.Name = names[0]
	}
	for _, name := range names {
		s := in.spans[name]
		r.spans.Active += s.Active
		for i, n := range s.Ages {
			r.spans.Ages[i] += n
		}
	}
	byRoot[label] = r
	return r
}

// sumRoots finishes the facts: roots with most members first.
func (t *groupTracker) sumRoots(f *labelFacts, byRoot map[string]*rootTally, in *circumstances) {
	all := make([]*rootTally, 0, len(byRoot))
	for _, r := range byRoot {
		all = append(all, r)
		if t.isBatch(r, in) {
			f.open += r.covered
		} else {
			f.open += min(r.Count, openOlder(&r.spans, t.rules.openAge()))
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return cmp.Or(cmp.Compare(all[j].Count, all[i].Count), cmp.Compare(all[i].Name, all[j].Name)) < 0
	})
	for _, r := range all {
		roots := finalNames(r.Root, r.epochs)
		f.roots = append(f.roots, roots...)
		f.names = append(f.names, r.names...)
		for i := range roots {
			if !slices.Contains(r.names, roots[i].Name) {
				f.names = append(f.names, roots[i].Name)
			}
		}
	}
}

// isBatch reports whether few root spans behind a label ended of late, under whatever
// name: one of them may have many goroutines.
func (t *groupTracker) isBatch(r *rootTally, in *circumstances) bool {
	names := map[string]bool{}
	for _, name := range r.names {
		names[name] = true
	}
	for i := range r.epochs {
		for _, n := range r.epochs[i].ended {
			names[n.Name] = true
		}
	}
	var ended uint64
	for name := range names {
		ended += t.spans.endedLately(name, in.at, t.rules.slots(batchSlots))
	}
	return ended < fewEnded
}
