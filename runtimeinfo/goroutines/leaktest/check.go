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

// testLabel is the profiler label by which goroutines are told to belong to a Check.
const testLabel = "gmpulse_test"

// maxCreators bounds how many creators of a goroutine are followed.
const maxCreators = 100

// checks holds the tests that run. Parallel tests have nothing but the process in
// common.
var checks = newRegistry() //nolint:gochecknoglobals // see above

// registry knows which tests run, and whose the goroutines are.
type registry struct {
	mu    sync.Mutex
	last  int               // number of the last check
	runs  map[string]*check // by label
	begun map[uint64]*check // by the goroutine of the test

	// foreign are the goroutines of tests, as far as they have been seen: what one of
	// them started belongs to no other test, also when it has ended.
	foreign map[uint64]bool
	// known are goroutines of checks that are over: reported, or ignored by their
	// options.
	known map[uint64]bool
	// unclaimed are goroutines that may be of several tests, some of which still run.
	unclaimed map[uint64]bool
}

func newRegistry() *registry {
	return &registry{
		runs: map[string]*check{}, begun: map[uint64]*check{},
		foreign: map[uint64]bool{}, known: map[uint64]bool{}, unclaimed: map[uint64]bool{},
	}
}

// check is one test that runs.
type check struct {
	registry  *registry
	name      string // of the test
	label     string // the name, and a number that no other check has
	goroutine uint64
	config    config
	before    map[uint64]bool
	labels    map[string]string // of the goroutine, before the check
	others    map[string]bool   // names of the tests that ran at the same time
}

// begin starts a check on the current goroutine.
func (r *registry) begin(name string, cfg config) (*check, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := labelledDump(cfg.limit)
	if err != nil {
		return nil, err
	}
	r.watch(all)
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
	if r.begun[c.goroutine] == nil { // else a second Check in one test
		r.begun[c.goroutine] = c
	}
	labels := maps.Clone(c.labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[testLabel] = c.label
	setLabels(labels)
	return c, nil
}

// watch notes the goroutines of tests.
func (r *registry) watch(all []goroutine) {
	for i := range all {
		if all[i].ofTest() {
			r.foreign[all[i].id] = true
		}
	}
}

// below reports whether c is of the test of o or of one within it, which o waits for.
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

// look returns what the test has left. The check is over if that is nothing, or if
// this is the last look.
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
	r.watch(all)
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

// forget drops the goroutines that have ended.
func (r *registry) forget(d *listing) {
	ended := func(id uint64, _ bool) bool { return d.byID[id] == nil }
	maps.DeleteFunc(r.known, ended)
	maps.DeleteFunc(r.unclaimed, ended)
}

// end takes c out of the registry. The labels are restored if the goroutine is that
// of begin.
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

// sort finds out which goroutines the test has left, which are its own, those that its
// options ignore among them, and which may be another test's that runs.
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

// alone reports whether no other test runs but those that wait for the test of c.
func (r *registry) alone(c *check) bool {
	for _, o := range r.runs {
		if o != c && !c.below(o) {
			return false
		}
	}
	return true
}

// owner returns the check that g belongs to. With certain and no check it
// belongs to a test without one. Labels and creators tell more surely than names.
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
			// A creator whose test is over may work for other tests since.
			return owner, certain && (owner != nil || a == g || d.tests[name])
		}
	}
	return nil, false
}

// named returns the check of the test function with that name. It is uncertain if
// there are several, of subtests or of one test that runs several times, and for
// subtests, of which others may have no Check.
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

// test returns the name of the test function that g is or was created in, empty if
// neither its stack nor its creator tells.
func (g *goroutine) test() string {
	for _, f := range slices.Backward(g.frames) {
		if name := f.test(); name != "" {
			return name
		}
	}
	return g.creator.test()
}

// test returns TestX for the functions TestX, TestX.func1 and so on of a test file.
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

// listing is a dump with what attribution needs of it.
type listing struct {
	all   []goroutine
	byID  map[uint64]*goroutine
	tests map[string]bool // test functions that run, by name
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

// ancestry yields g, its creator and so on, as far as they live.
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

// remaining returns what all tests have left, for [Main]. Goroutines in before are
// older than the tests.
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

// origin says since when, or since which test, g is there.
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
