package goroutines

import (
	"cmp"
	"sort"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// ageing is what the labels of a group's members tell of their age.
type ageing struct {
	labelled  int            // members created under a span
	old       int            // of them, those older than the threshold of their root
	stillOpen int            // old members whose root may still be in flight
	outlived  int            // old members whose root is none that may still be in flight
	epochs    int            // different times at which those were created
	elders    map[origin]int // those
	turnover  turnover       // what became of earlier ones
	threshold time.Duration
	usual     bool // how long spans of a root take is known
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
	t := agetally{counts: make([]int, len(ageSteps())), byRoot: map[string]*rootTally{}, epochs: map[string]bool{}, elders: map[origin]int{}}
	for _, b := range g.Births {
		if b.Root != "" {
			a.labelled += b.Count
			c.birth(&t, b, in)
		}
	}
	a.old, a.outlived, a.epochs, a.threshold = t.old, t.outlived, len(t.epochs), t.threshold
	a.elders = t.elders
	for _, r := range t.byRoot {
		open := openOlder(&r.spans, c.threshold(&r.spans))
		if servesConnection(g.Entry) {
			open = max(open, r.old) // it has the label while the span is open, also one that was given up
		}
		a.usual = a.usual || r.usual(open)
		a.stillOpen += min(r.old, open)
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
	counts        []int // by ageSteps, cumulative
	byRoot        map[string]*rootTally
	epochs        map[string]bool // of those that have outlived their spans
	elders        map[origin]int  // those
	old, outlived int
	threshold     time.Duration
}

// rootTally is a Root in the making.
type rootTally struct {
	Root
	spans runtimeinfo.SpanGroup // of all names behind the label
	old   int
}

// root returns the tally of a label.
func (c *casebook) root(t *agetally, label string, names []string, in *circumstances) *rootTally {
	r := t.byRoot[label]
	if r == nil {
		if len(names) == 0 {
			names = []string{label}
		}
		r = &rootTally{Root: Root{Name: label}, spans: c.spansOf(names, in)}
		if len(names) == 1 {
			r.Name = names[0]
		}
		t.byRoot[label] = r
	}
	return r
}

// birth adds the members with one pair of labels.
func (c *casebook) birth(t *agetally, b Birth, in *circumstances) {
	o, ok := c.origins.Origin(b.Root, b.Epoch)
	r := c.root(t, b.Root, o.Names, in)
	r.Count += b.Count
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
	threshold := c.threshold(&r.spans)
	if age < threshold {
		return
	}
	t.old += b.Count
	r.old += b.Count
	t.threshold = max(t.threshold, threshold)
	if r.usual(openOlder(&r.spans, threshold)) || !anyActive(&r.spans, age, in.now.Sub(o.From)) {
		t.outlived += b.Count
		t.epochs[b.Epoch] = true
		t.elders[origin{b.Root, b.Epoch}] = b.Count
	}
}

// roots returns the roots, those with most members first.
func (t *agetally) roots() (roots []Root) {
	for _, r := range t.byRoot {
		roots = append(roots, r.Root)
	}
	sort.Slice(roots, func(i, j int) bool {
		return cmp.Or(cmp.Compare(roots[j].Count, roots[i].Count), cmp.Compare(roots[i].Name, roots[j].Name)) < 0
	})
	return roots
}

// spansOf sums up the spans of some names; Ended are those of late.
func (c *casebook) spansOf(names []string, in *circumstances) (all runtimeinfo.SpanGroup) {
	for _, name := range names {
		g := in.spans[name]
		all.P99 = max(all.P99, g.P99)
		all.Ended += c.paces[name].lately(g.Ended)
		for i, n := range g.Ages {
			all.Ages[i] += n
		}
	}
	return all
}

// threshold is the age from which a member that was created under such spans is old.
func (c *casebook) threshold(g *runtimeinfo.SpanGroup) time.Duration {
	return max(c.rules.minAge, oldFactor*g.P99)
}

// usual tells whether the spans that ended of late tell how long such spans take. A
// few that failed at once say nothing of the many that last as long as their connection.
func (r *rootTally) usual(open int) bool {
	const few = 5 // a fifth of those that are open; a young process has not seen many
	return r.spans.P99 > 0 && uint64(open) <= few*r.spans.Ended
}

// openOlder counts the spans that have been active for at least d.
func openOlder(g *runtimeinfo.SpanGroup, d time.Duration) (n int) {
	for i, count := range g.Ages {
		if youngest := time.Second << i / 2; i > 0 && youngest >= d/2 {
			n += count
		}
	}
	return n
}

// anyActive tells whether a span of an age between two may be active. Where nobody
// knows how long such spans take, that one may have any number of goroutines.
func anyActive(g *runtimeinfo.SpanGroup, youngest, oldest time.Duration) bool {
	const stale = 2 * time.Second // of the snapshot that has the ages
	for i, count := range g.Ages {
		from, to := time.Duration(0), time.Second<<i
		if i > 0 {
			from = to / 2
		}
		if last := i == len(g.Ages)-1; count > 0 && from <= oldest && (last || youngest < to+stale) {
			return true
		}
	}
	return false
}
