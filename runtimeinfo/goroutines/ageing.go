package goroutines

import (
	"cmp"
	"sort"
	"time"
)

// ageing is what the labels of a group's members tell of their age.
type ageing struct {
	labelled  int // members created under a span
	old       int // of them, those older than the threshold of their root
	oldEpochs int // different times at which old members were created
	stillOpen int // old members whose root may still be in flight
	threshold time.Duration
	usual     bool // spans of a root ended of late, so that a usual duration is known
	roots     []Root
	ages      []Age
}

// ageSteps are the ages that verdicts report.
func ageSteps() []time.Duration {
	return []time.Duration{0, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 12 * time.Hour}
}

// oldFactor says when a member is old: when it has lived this many times as long
// as the spans of its root take at the 99th percentile.
const oldFactor = 10

// maxExamples is how many example spans a root has in a verdict.
const maxExamples = 3

// ages evaluates the labels of a group.
func (c *casebook) ages(g *Group, in *circumstances) (a ageing) {
	if c.origins == nil {
		return a
	}
	t := agetally{counts: make([]int, len(ageSteps())), byRoot: map[string]*Root{}, oldByRoot: map[string]int{}, oldEpochs: map[string]bool{}}
	for _, b := range g.Births {
		if b.Root != "" {
			a.labelled += b.Count
			a.usual = a.usual || in.spans[b.Root].P99 > 0
			c.birth(&t, b, in)
		}
	}
	a.old, a.oldEpochs, a.threshold = t.old, len(t.oldEpochs), t.threshold
	for root, old := range t.oldByRoot {
		a.stillOpen += min(old, openOlder(in, root, c.threshold(root, in)))
	}
	a.roots = t.roots()
	for i, n := range t.counts {
		if n > 0 {
			a.ages = append(a.ages, Age{AtLeast: ageSteps()[i], Count: n})
		}
	}
	return a
}

// agetally is an ageing in the making.
type agetally struct {
	counts    []int // by ageSteps, cumulative
	byRoot    map[string]*Root
	oldByRoot map[string]int
	oldEpochs map[string]bool
	old       int
	threshold time.Duration
}

// birth adds the members with one pair of labels.
func (c *casebook) birth(t *agetally, b Birth, in *circumstances) {
	r := t.byRoot[b.Root]
	if r == nil {
		r = &Root{Name: b.Root}
		t.byRoot[b.Root] = r
	}
	r.Count += b.Count
	o, ok := c.origins.Origin(b.Root, b.Epoch)
	if !ok {
		return
	}
	if room := maxExamples - len(r.Examples); room > 0 {
		r.Examples = append(r.Examples, o.Examples[:min(room, len(o.Examples))]...)
	}
	age := max(0, in.now.Sub(o.To))
	for i, step := range ageSteps() {
		if age >= step {
			t.counts[i] += b.Count
		}
	}
	if threshold := c.threshold(b.Root, in); age >= threshold {
		t.old += b.Count
		t.oldByRoot[b.Root] += b.Count
		t.oldEpochs[b.Epoch] = true
		t.threshold = max(t.threshold, threshold)
	}
}

// roots returns the roots, those with most members first.
func (t *agetally) roots() (roots []Root) {
	for _, r := range t.byRoot {
		roots = append(roots, *r)
	}
	sort.Slice(roots, func(i, j int) bool {
		return cmp.Or(cmp.Compare(roots[j].Count, roots[i].Count), cmp.Compare(roots[i].Name, roots[j].Name)) < 0
	})
	return roots
}

// threshold is the age from which a member that was created under spans of one
// name is old.
func (c *casebook) threshold(root string, in *circumstances) time.Duration {
	return max(c.rules.minAge, oldFactor*in.spans[root].P99)
}

// openOlder counts the spans of one name that have been active for at least d.
func openOlder(in *circumstances, root string, d time.Duration) (n int) {
	g := in.spans[root]
	for i, count := range g.Ages {
		if youngest := time.Second << i / 2; i > 0 && youngest >= d/2 {
			n += count
		}
	}
	return n
}
