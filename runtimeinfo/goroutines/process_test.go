// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const testSlot = 5 * time.Second

// fakeProcess simulates a process with goroutines and root spans. It takes a survey in each slot
// and a recording when the tracker wants one. Verdicts depend on these only, so that simulated
// hours pass at once.
type fakeProcess struct {
	t        *testing.T
	tracker  *groupTracker
	start    time.Time
	now      time.Time
	random   *rand.Rand
	list     []*fakeGoroutine
	lastID   uint64
	made     float64
	spans    map[string]*fakeSpans
	leaked   map[Key]int
	accepted int            // connections; negative: unknown
	noRecord bool           // recordings fail
	noNames  bool           // origins have no names; the label is the name
	under    map[Key]string // a function that the place of a group calls
	records  int
	lag      time.Duration // from a survey to the recording in its slot
	length   time.Duration // of recordings
	events   []runtimeinfo.Event
}

// fakeGoroutine ends at end, if that is not zero, and runs periodically.
type fakeGoroutine struct {
	id       uint64
	key      Key
	root     string
	born     time.Time
	end      time.Time
	every    time.Duration // period of running; 0: never
	wakeup   Wakeup
	creation []Site
}

// fakeSpans are the root spans of one name.
type fakeSpans struct {
	open  []time.Time // start times
	ended uint64
	p99   time.Duration
}

func newProcess(t *testing.T) *fakeProcess {
	t.Helper()
	start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	p := &fakeProcess{
		t: t, start: start, now: start, random: rand.New(rand.NewPCG(1, 2)), made: 1,
		spans: map[string]*fakeSpans{}, leaked: map[Key]int{}, accepted: -1, length: testSlot,
	}
	p.tracker = newGroupTracker(rules{slot: testSlot, minGrowth: 20}, p.Origin)
	p.tracker.recording = true
	t.Cleanup(func() { checkIncidents(t, p.events) })
	return p
}

// Origin has epochs of ten seconds, named by the second of their start.
func (p *fakeProcess) Origin(root, epoch string) (runtimeinfo.Origin, bool) {
	s, err := strconv.Atoi(epoch)
	if err != nil {
		return runtimeinfo.Origin{}, false
	}
	from := p.start.Add(time.Duration(s) * time.Second)
	o := runtimeinfo.Origin{From: from, To: from.Add(10 * time.Second), Names: []string{root}, Examples: []runtimeinfo.Span{{Name: root}}}
	if p.noNames {
		o.Names = nil
	}
	return o, true
}

func (p *fakeProcess) epoch(at time.Time) string {
	return strconv.Itoa(int(at.Sub(p.start).Seconds()) / 10 * 10)
}

// key returns the key of goroutines that wait in a function.
func key(class WaitClass, site string) Key {
	return Key{Class: class, Site: Site{Function: site, File: "/src/" + site + ".go", Line: 42}, Entry: site + ".func1"}
}

// add starts n goroutines like the given one.
func (p *fakeProcess) add(n int, like fakeGoroutine) {
	for range n {
		g := like
		p.lastID++
		g.id, g.born = p.lastID, p.now
		p.list = append(p.list, &g)
		p.made++
	}
}

// span returns the spans of a name.
func (p *fakeProcess) span(name string) *fakeSpans {
	if p.spans[name] == nil {
		p.spans[name] = &fakeSpans{}
	}
	return p.spans[name]
}

// end counts n ended spans of the given duration.
func (s *fakeSpans) end(n int, took time.Duration) {
	s.ended += uint64(n)
	s.p99 = max(s.p99, took)
}

func (p *fakeProcess) groups() map[string]runtimeinfo.SpanGroup {
	all := map[string]runtimeinfo.SpanGroup{}
	for name, s := range p.spans {
		g := runtimeinfo.SpanGroup{Name: name, Active: len(s.open), Ended: s.ended, P50: s.p99, P99: s.p99}
		for _, began := range s.open {
			i := 0
			for i < runtimeinfo.SpanAges-1 && time.Second<<i < p.now.Sub(began) {
				i++
			}
			g.Ages[i]++
		}
		all[name] = g
	}
	return all
}

// step simulates one slot.
func (p *fakeProcess) step() []Verdict {
	p.list = slices.DeleteFunc(p.list, func(g *fakeGoroutine) bool { return !g.end.IsZero() && !g.end.After(p.now) })
	s := p.survey()
	v := p.tracker.survey(s, circumstances{
		now: p.now, created: p.made, spans: p.groups(), stack: float64(s.Goroutines) * 8192, headroom: 1 << 30,
		leaked: func(k Key) int { return p.leaked[k] },
	})
	if !p.noRecord && p.tracker.wantsRecording(p.now.Add(p.lag)) {
		p.records++
		p.tracker.record(p.recording(), p.accepted)
	}
	p.events = append(p.events, p.tracker.takeEvents()...)
	p.now = p.now.Add(testSlot)
	return v
}

func (p *fakeProcess) survey() *Survey {
	groups := map[Key]*Group{}
	births := map[Key]map[labelPair]int{}
	s := &Survey{Time: p.now}
	for _, g := range p.list {
		if groups[g.key] == nil {
			groups[g.key] = &Group{Key: g.key, Stack: p.stackOf(g.key)}
			births[g.key] = map[labelPair]int{}
		}
		groups[g.key].Count++
		o := labelPair{root: g.root}
		if g.root != "" {
			o.epoch = p.epoch(g.born)
		}
		births[g.key][o]++
		s.Goroutines++
	}
	for k, g := range groups {
		for o, n := range births[k] {
			g.Origins = append(g.Origins, Origin{o.root, o.epoch, n})
		}
		slices.SortFunc(g.Origins, Origin.compare)
		s.Groups = append(s.Groups, *g)
	}
	slices.SortFunc(s.Groups, func(a, b Group) int { return a.compare(b.Key) })
	return s
}

// recording returns a recording in the current slot. Each goroutine has its own phase.
func (p *fakeProcess) recording() *Recording {
	r := &Recording{Start: p.now.Add(p.lag), Duration: p.length}
	for _, g := range p.list {
		x := RecordedGoroutine{ID: g.id, Stack: p.stackOf(g.key)}
		if r.Start.Sub(g.born) < p.length {
			x.Created, x.Creation = true, g.creation
		}
		if g.every > 0 {
			phase := time.Duration(g.id) * 7919 * time.Millisecond % g.every
			from := r.Start.Sub(g.born) + phase
			if x.Ran = from/g.every != (from+p.length)/g.every; x.Ran {
				x.Wakeup = g.wakeup
			}
		}
		r.Goroutines = append(r.Goroutines, x)
	}
	return r
}

// run simulates a duration and calls each in every slot. It returns when each kind of verdict
// first appeared, and the last verdicts.
func (p *fakeProcess) run(d time.Duration, each func(at time.Duration)) (first map[Kind]time.Duration, last []Verdict) {
	first = map[Kind]time.Duration{}
	began := p.now
	for p.now.Sub(began) < d {
		at := p.now.Sub(began)
		each(at)
		last = p.step()
		for i := range last {
			if _, seen := first[last[i].Kind]; !seen {
				first[last[i].Kind] = at
			}
		}
	}
	return first, last
}

// noAlarm fails the test if there was an alarm.
func noAlarm(t *testing.T, first map[Kind]time.Duration) {
	t.Helper()
	for k, at := range first {
		if k.Suspect() {
			t.Errorf("%s after %v, want no alarm", k, at)
		}
	}
}

// alarm fails the test unless the kind appeared in time and no other alarm did.
func alarm(t *testing.T, first map[Kind]time.Duration, k Kind, within time.Duration) {
	t.Helper()
	at, ok := first[k]
	if !ok || at > within {
		t.Errorf("verdicts %v, want %s within %v", first, k, within)
	}
	for other, at := range first {
		if other.Suspect() && other != k {
			t.Errorf("%s after %v as well", other, at)
		}
	}
}

func kinds(vs []Verdict) string {
	var all []string
	for i := range vs {
		all = append(all, string(vs[i].Kind))
	}
	return strings.Join(all, " ")
}

// stackOf returns the stack of the goroutines with the given key.
func (p *fakeProcess) stackOf(k Key) []Site {
	stack := stackOf(k)
	if f := p.under[k]; f != "" {
		stack = slices.Insert(stack, 1, Site{Function: f})
	}
	return stack
}

// stackOf returns a stack with the given key.
func stackOf(k Key) []Site {
	leaf := map[WaitClass]string{
		ChanSend: "runtime.chansend", ChanReceive: "runtime.chanrecv", Select: "runtime.selectgo", SelectForever: "runtime.block",
		Mutex: "internal/sync.runtime_SemacquireMutex", IO: "internal/poll.runtime_pollWait", Sleep: "time.Sleep", Cond: "sync.runtime_notifyListWait",
	}[k.Class]
	return []Site{{Function: leaf}, k.Site, {Function: k.Entry}}
}
