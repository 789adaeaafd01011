// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// labelFacts is what the labels of a group's members show.
type labelFacts struct {
	old   int      // members older than openAge, as far as epochs show
	open  int      // upper bound of the members whose root span is still open
	names []string // of the root spans, most members first
	roots []Root
	ages  []Age

	labels []*labelledRoot // most members first
}

// ageSteps are the ages that verdicts report.
func ageSteps() []time.Duration {
	return []time.Duration{0, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 12 * time.Hour}
}

// maxExamples is the number of example spans of a root.
const maxExamples = 3

// labelledRoot collects the members with one root label.
type labelledRoot struct {
	Root
	names   []string              // of the root spans when they began
	all     map[string]bool       // when they began or ended
	spans   runtimeinfo.SpanGroup // sum over names
	epochs  []epochCount
	covered int // members of epochs from which a span may still be active
}

// labelFactsOf evaluates the labels of a group.
func (t *groupTracker) labelFactsOf(g *Group, in *circumstances) (f labelFacts) {
	if t.lookup == nil {
		return f
	}
	byLabel := map[string]*labelledRoot{}
	for _, step := range ageSteps() {
		f.ages = append(f.ages, Age{AtLeast: step})
	}
	for _, x := range g.Origins {
		if x.Root == "" {
			continue
		}
		o := t.originInfo(x.Root, x.Epoch)
		r := byLabel[x.Root]
		if r == nil {
			r = newLabelledRoot(x.Root, o.Names, in)
			byLabel[x.Root] = r
		}
		age := max(0, in.now.Sub(o.To))
		o.addNames(r.all, x.Root)
		r.add(x.Count, o, age, in.now.Sub(o.From))
		if o.ok {
			f.addAge(age, x.Count, t.rules.openAge())
		}
	}
	f.ages = slices.DeleteFunc(f.ages, func(a Age) bool { return a.Count == 0 })
	t.addRoots(&f, byLabel, in)
	return f
}

// addAge counts n members of at least the given age.
func (f *labelFacts) addAge(age time.Duration, n int, openAge time.Duration) {
	for i := range f.ages {
		if age >= f.ages[i].AtLeast {
			f.ages[i].Count += n
		}
	}
	if age >= openAge {
		f.old += n
	}
}

// add adds n members with one origin. They are between youngest and oldest.
func (r *labelledRoot) add(n int, o *originInfo, youngest, oldest time.Duration) {
	r.Count += n
	r.epochs = append(r.epochs, epochCount{n, o.Ended})
	if !o.ok {
		return
	}
	room := max(0, maxExamples-len(r.Examples))
	r.Examples = append(r.Examples, o.Examples[:min(room, len(o.Examples))]...)
	if anyActive(&r.spans, youngest, oldest) {
		r.covered += n
	}
}

// originInfo is a result of DetectorConfig.Origin.
type originInfo struct {
	runtimeinfo.Origin
	ok bool
}

// originInfo calls DetectorConfig.Origin once for each pair of labels in a survey.
func (t *groupTracker) originInfo(root, epoch string) *originInfo {
	key := labelPair{root, epoch}
	o := t.origins[key]
	if o == nil {
		o = &originInfo{}
		o.Origin, o.ok = t.lookup(root, epoch)
		t.origins[key] = o
	}
	return o
}

// newLabelledRoot sums up the spans of the names behind a label. Without names the label is
// the name.
func newLabelledRoot(label string, names []string, in *circumstances) *labelledRoot {
	if len(names) == 0 {
		names = []string{label}
	}
	r := &labelledRoot{Root: Root{Name: label}, names: names, all: map[string]bool{}}
	if len(names) == 1 {
		r.Name = names[0]
	}
	for _, name := range names {
		s := in.spans[name]
		for i, n := range s.Ages {
			r.spans.Ages[i] += n
		}
	}
	return r
}

// addRoots adds the roots to the facts, most members first.
func (t *groupTracker) addRoots(f *labelFacts, byLabel map[string]*labelledRoot, in *circumstances) {
	all := slices.SortedFunc(maps.Values(byLabel), func(a, b *labelledRoot) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	f.labels = all
	for _, r := range all {
		if t.isBatch(r, in) {
			f.open += r.covered
		} else {
			f.open += min(r.Count, openOlder(&r.spans, t.rules.openAge()))
		}
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

// isBatch reports whether few root spans with a label ended recently, under any name.
func (t *groupTracker) isBatch(r *labelledRoot, in *circumstances) bool {
	var ended uint64
	for name := range r.all {
		ended += t.spans.endedWithin(name, in.at, t.rules.slots(batchSlots))
	}
	return ended < fewEnded
}

// loadOf returns a cumulative measure of the load that creates members of a group: the number
// of ended root spans with the names under which members were created.
func (t *groupTracker) loadOf(g *Group, spans map[string]runtimeinfo.SpanGroup) (ended float64) {
	names := map[string]bool{}
	for _, x := range g.Origins {
		if x.Root != "" && t.lookup != nil {
			t.originInfo(x.Root, x.Epoch).addNames(names, x.Root)
		}
	}
	for name := range names {
		ended += float64(spans[name].Ended)
	}
	return ended
}

// addNames adds the names with which the root spans of an origin began or ended.
func (o *originInfo) addNames(names map[string]bool, label string) {
	if len(o.Names) == 0 {
		names[label] = true
	}
	for _, name := range o.Names {
		names[name] = true
	}
	for _, n := range o.Ended {
		names[n.Name] = true
	}
}
