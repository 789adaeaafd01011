package goroutines

import (
	"cmp"
	"slices"
	"time"
)

// ageing is what the labels of a group's members tell of their age.
type ageing struct {
	labelled  int // members created under a span
	old       int // of them, those older than the threshold of their root
	oldEpochs int // different times at which old members were created
	stillOpen int // old members whose root may still be in flight
	threshold time.Duration
	roots     []Root
	ages      []Age
}

// ageSteps are the ages that verdicts report.
func ageSteps() []time.Duration {
	return []time.Duration{0, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 12 * time.Hour}
}

// maxExamples is how many example spans a root has in a verdict.
const maxExamples = 3

// ages evaluates the labels of a group.
func (c *casebook) ages(g *Group, in *circumstances) (a ageing) {
	steps := ageSteps()
	counts := make([]int, len(steps))
	byRoot := map[string]*Root{}
	oldByRoot := map[string]int{}
	epochs := map[string]bool{}
	for _, b := range g.Births {
		if b.Root == "" || c.origins == nil {
			continue
		}
		a.labelled += b.Count
		r := byRoot[b.Root]
		if r == nil {
			r = &Root{Name: b.Root}
			byRoot[b.Root] = r
		}
		r.Count += b.Count
		o, ok := c.origins.Origin(b.Root, b.Epoch)
		if !ok {
			continue
		}
		if room := maxExamples - len(r.Examples); room > 0 {
			r.Examples = append(r.Examples, o.Examples[:min(room, len(o.Examples))]...)
		}
		age := in.now.Sub(o.To)
		for i, s := range steps {
			if age >= s || i == 0 {
				counts[i] += b.Count
			}
		}
		if t := c.threshold(b.Root, in); age >= t {
			a.old += b.Count
			oldByRoot[b.Root] += b.Count
			epochs[b.Epoch] = true
			a.threshold = max(a.threshold, t)
		}
	}
	a.oldEpochs = len(epochs)
	for root, old := range oldByRoot {
		a.stillOpen += min(old, openOlder(in, root, c.threshold(root, in)))
	}
	for _, r := range byRoot {
		a.roots = append(a.roots, *r)
	}
	slices.SortFunc(a.roots, func(x, y Root) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Name, y.Name))
	})
	for i, n := range counts {
		if n > 0 {
			a.ages = append(a.ages, Age{AtLeast: steps[i], Count: n})
		}
	}
	return a
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
		if lower := time.Second << i / 2; lower >= d/2 {
			n += count
		}
	}
	return n
}
