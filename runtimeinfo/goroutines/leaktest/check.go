// SPDX-License-Identifier: Apache-2.0

package leaktest

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
)

// testLabel is the profiler label that identifies the Check of a goroutine.
const testLabel = "gmpulse_test"

// maxCreators bounds the chain of creators that ancestry follows.
const maxCreators = 100

// checks is global because parallel tests have nothing else in common.
var checks = newRegistry() //nolint:gochecknoglobals // see above

// registry holds the running checks and determines which of them owns a goroutine.
type registry struct {
	mu    sync.Mutex
	last  int               // number of the newest check
	runs  map[string]*check // running checks, by label
	begun map[uint64]*check // running checks, by the goroutine of the test

	// foreign are the observed goroutines that run tests. What one of them started belongs to
	// no other test, even after it has ended.
	foreign map[uint64]bool
	// known are goroutines that earlier checks reported, or ignored because of their options.
	known map[uint64]bool
	// unclaimed are goroutines that may belong to several tests, some of which still run.
	unclaimed map[uint64]bool
}

func newRegistry() *registry {
	return &registry{
		runs: map[string]*check{}, begun: map[uint64]*check{},
		foreign: map[uint64]bool{}, known: map[uint64]bool{}, unclaimed: map[uint64]bool{},
	}
}

// check is one running Check.
type check struct {
	registry  *registry
	name      string // of the test
	label     string // the name and a unique number
	goroutine uint64
	config    config
	before    map[uint64]bool
	labels    map[string]string // of the goroutine before the check
	others    map[string]bool   // names of tests that ran at the same time
}

// begin starts a check on the current goroutine.
func (r *registry) begin(name string, cfg config) (*check, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := labelledDump(cfg.limit)
	if err != nil {
		return nil, err
	}
	r.addForeign(all)
	r.last++
	c := &check{
		registry: r, name: name, label: fmt.Sprintf("%s #%d", name, r.last), goroutine: all[0].id,
		config: cfg, before: identities(all), labels: all[0].labels, others: map[string]bool{},
	}
	for _, o := range r.runs {
		if !c.below(o) {
			c.others[o.name], o.others[name] = true, true
		}
	}
	r.runs[c.label] = c
	if r.begun[c.goroutine] == nil { // otherwise it is a second Check in one test
		r.begun[c.goroutine] = c
	}
	labels := map[string]string{}
	maps.Copy(labels, c.labels)
	labels[testLabel] = c.label
	setLabels(labels)
	return c, nil
}

// addForeign adds the goroutines that run tests to foreign.
func (r *registry) addForeign(all []goroutine) {
	for i := range all {
		if all[i].ofTest() {
			r.foreign[all[i].id] = true
		}
	}
}

// below reports whether c belongs to the test of o or to a subtest of it.
func (c *check) below(o *check) bool {
	return c.goroutine == o.goroutine || strings.HasPrefix(c.name, o.name+"/")
}

func setLabels(labels map[string]string) {
	var pairs []string
	for key, value := range labels {
		pairs = append(pairs, key, value)
	}
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(pairs...)))
}

// look returns the goroutines that the test left. The check ends if there are none, or with the
// last look.
func (c *check) look(last bool) ([]leftover, error) {
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := labelledDump(c.config.limit)
	if err != nil {
		if last {
			c.end(0)
		}
		return nil, err
	}
	r.addForeign(all)
	d := newListing(all)
	left, own, shared := c.sort(d)
	if len(left) > 0 && !last {
		return left, nil
	}
	for _, id := range own {
		r.known[id] = true
		delete(r.unclaimed, id)
	}
	for _, id := range shared {
		r.unclaimed[id] = true
	}
	r.forget(d)
	c.end(all[0].id)
	return left, nil
}

// forget removes goroutines that have ended.
func (r *registry) forget(d *listing) {
	ended := func(id uint64, _ bool) bool { return d.byID[id] == nil }
	maps.DeleteFunc(r.known, ended)
	maps.DeleteFunc(r.unclaimed, ended)
}

// end removes c from the registry. It restores the labels if called by the goroutine that called
// begin.
func (c *check) end(goroutine uint64) {
	r := c.registry
	delete(r.runs, c.label)
	if r.begun[c.goroutine] == c {
		delete(r.begun, c.goroutine)
	}
	if c.goroutine == goroutine {
		setLabels(c.labels)
	}
}

// sort returns the goroutines that the test left, the ids of all that belong to it, including
// ignored ones, and the ids of those that may belong to another running test.
func (c *check) sort(d *listing) (left []leftover, own, shared []uint64) {
	r := c.registry
	alone := r.alone(c)
	for i := range d.others() {
		g := &d.others()[i]
		if g.standard() || r.known[g.id] || c.before[g.id] && !r.unclaimed[g.id] {
			continue
		}
		owner, certain := r.owner(g, d)
		switch {
		case certain && owner != c:
			continue
		case !certain && !alone:
			shared = append(shared, g.id)
			continue
		}
		own = append(own, g.id)
		if c.config.ignores(g) {
			continue
		}
		l := leftover{goroutine: g}
		if !certain && len(c.others) > 0 {
			l.note = "perhaps started by another test that ran at the same time: " + strings.Join(slices.Sorted(maps.Keys(c.others)), ", ")
		}
		left = append(left, l)
	}
	return left, own, shared
}

// alone reports whether no other test runs, except those that wait for the test of c.
func (r *registry) alone(c *check) bool {
	for _, o := range r.runs {
		if o != c && !c.below(o) {
			return false
		}
	}
	return true
}

// owner returns the check that g belongs to; certain without a check means a test without one.
// Labels and creators are more reliable than names.
func (r *registry) owner(g *goroutine, d *listing) (owner *check, certain bool) {
	for a := range d.ancestry(g) {
		if c := r.runs[a.labels[testLabel]]; c != nil {
			return c, true
		}
		if c := r.begun[a.creatorID]; c != nil {
			return c, true
		}
	}
	for a := range d.ancestry(g) {
		if a.ofTest() || a == g && r.foreign[g.creatorID] {
			return nil, true
		}
		if name := a.test(); name != "" {
			owner, certain = r.named(name)
			// A creator whose test has ended may work for other tests.
			return owner, certain && (owner != nil || a == g || d.tests[name])
		}
	}
	return nil, false
}

// named returns the check of the test function with the given name. It is uncertain if there are
// several, because of subtests or a test that runs several times, and for subtests.
func (r *registry) named(name string) (owner *check, certain bool) {
	for _, c := range r.runs {
		root, _, _ := strings.Cut(c.name, "/")
		if root != name {
			continue
		}
		if owner != nil {
			return nil, false
		}
		owner = c
	}
	return owner, owner == nil || owner.name == name
}

// test returns the name of the test function in the stack of g or its creation, or "".
func (g *goroutine) test() string {
	for _, f := range slices.Backward(g.frames) {
		if name := f.test(); name != "" {
			return name
		}
	}
	return g.creator.test()
}

// test returns TestX for TestX, TestX.func1 and so on, if f is in a test file.
func (f frame) test() string {
	if !strings.HasSuffix(f.file, "_test.go") {
		return ""
	}
	name := strings.TrimPrefix(f.function[len(f.pkg()):], ".")
	name, _, _ = strings.Cut(name, ".")
	if name == "TestMain" {
		return ""
	}
	for _, prefix := range [...]string{"Test", "Benchmark", "Fuzz", "Example"} {
		rest, ok := strings.CutPrefix(name, prefix)
		if ok && (rest == "" || rest[0] < 'a' || rest[0] > 'z') {
			return name
		}
	}
	return ""
}

// listing is a dump with indexes.
type listing struct {
	all   []goroutine
	byID  map[uint64]*goroutine
	tests map[string]bool // names of running test functions
}

// ofTest reports whether g runs a test, a benchmark or a subtest.
func (g *goroutine) ofTest() bool { return strings.HasPrefix(g.entry(), "testing.") }

func newListing(all []goroutine) *listing {
	d := &listing{all: all, byID: make(map[uint64]*goroutine, len(all)), tests: map[string]bool{}}
	for i := range all {
		g := &all[i]
		d.byID[g.id] = g
		if g.ofTest() {
			d.tests[g.test()] = true
		}
	}
	return d
}

// ancestry yields g, its creator and so on, while they exist.
func (d *listing) ancestry(g *goroutine) iter.Seq[*goroutine] {
	return func(yield func(*goroutine) bool) {
		for range maxCreators {
			if g == nil || !yield(g) {
				return
			}
			g = d.byID[g.creatorID]
		}
	}
}

// others returns all goroutines but the current one.
func (d *listing) others() []goroutine { return d.all[1:] }

// remaining returns what all tests left, for [Main]. before are goroutines older than the tests.
func (r *registry) remaining(cfg config, before map[uint64]bool) ([]leftover, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := labelledDump(cfg.limit)
	if err != nil {
		return nil, err
	}
	var left []leftover
	for i := range all[1:] {
		g := &all[1+i]
		if cfg.ignores(g) {
			continue
		}
		left = append(left, leftover{g, g.origin(before)})
	}
	return left, nil
}

// origin describes which test started g, or returns "".
func (g *goroutine) origin(before map[uint64]bool) string {
	if before[g.id] {
		return "ran before the tests: IgnoreCurrent ignores it"
	}
	if label := g.labels[testLabel]; label != "" {
		return "started in " + label[:max(0, strings.LastIndex(label, " #"))]
	}
	if test := g.test(); test != "" {
		return "started in " + test
	}
	return ""
}
