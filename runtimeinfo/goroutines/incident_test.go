// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// checkIncidents fails the test unless every incident is opened once and first, has the same
// description until it is closed once, and no other event than that of an alarm has one. Every
// simulation ends with this check.
func checkIncidents(t *testing.T, events []runtimeinfo.Event) {
	t.Helper()
	open, seen := map[string]*runtimeinfo.Incident{}, map[string]bool{}
	for i := range events {
		e := &events[i]
		x := e.Incident
		if x == nil {
			if e.Severity >= slog.LevelWarn {
				t.Errorf("an alarm without an incident: %s: %s", e.Name, e.Message)
			}
			continue
		}
		first := open[x.ID]
		switch {
		case x.Phase == runtimeinfo.IncidentOpened && seen[x.ID], x.Phase != runtimeinfo.IncidentOpened && first == nil:
			t.Errorf("%s is %s out of order: %s", x.ID, x.Phase, e.Message)
		case x.Phase == runtimeinfo.IncidentOpened:
			open[x.ID], seen[x.ID] = x, true
		case x.Site != first.Site || x.Root != first.Root || !x.Since.Equal(first.Since):
			t.Errorf("%s was %+v and is %+v", x.ID, first, x)
		}
		closed := x.Phase == runtimeinfo.IncidentClosed
		if closed {
			delete(open, x.ID)
		}
		if closed != (e.Severity == slog.LevelInfo) || x.Site == "" || x.Kind != "leak" && x.Kind != "stuck" {
			t.Errorf("%v: %+v", e.Severity, x)
		}
	}
}

// phases returns the phases of all incidents in order, such as "goroutines-1 opened".
func phases(events []runtimeinfo.Event) (all []string) {
	for i := range events {
		if x := events[i].Incident; x != nil {
			all = append(all, x.ID+" "+string(x.Phase))
		}
	}
	return all
}

// The leading group of an incident ends before the other one. The other one goes on under the same
// incident, which is closed with it.
func TestIncidentGoesOnWithoutItsLeader(t *testing.T) {
	p := newProcess(t)
	at := []Site{{Function: "lib.New", File: "/lib/lib.go", Line: 3}, {Function: "main.order", File: "/src/main.go", Line: 31}}
	p.run(3*time.Minute, func(time.Duration) {
		p.span("POST /order").end(5, time.Millisecond)
		p.add(6, fakeGoroutine{key: key(Select, "lib.big"), root: "POST /order", creation: at})
		p.add(4, fakeGoroutine{key: key(Select, "lib.small"), root: "POST /order", creation: at})
	})
	end := func(site string) {
		for _, g := range p.list {
			if g.key.Site.Function == site {
				g.end = p.now
			}
		}
		p.run(time.Minute, func(time.Duration) {})
	}
	end("lib.big")
	if got, want := phases(p.events), []string{"goroutines-1 opened"}; !slices.Equal(got, want) {
		t.Fatalf("after the end of the leader: %q, want %q", got, want)
	}
	end("lib.small")
	if got, want := phases(p.events), []string{"goroutines-1 opened", "goroutines-1 closed"}; !slices.Equal(got, want) {
		t.Fatalf("at the end: %q, want %q", got, want)
	}
}

// A leak that doubles is worse each time, and proof makes it worse once.
func TestIncidentWorsens(t *testing.T) {
	p := newProcess(t)
	k := key(ChanReceive, "shop.checkout")
	p.run(7*time.Minute, func(at time.Duration) {
		p.span("GET /checkout").end(25, 10*time.Millisecond)
		p.add(10, fakeGoroutine{key: k, root: "GET /checkout"})
		if at == 6*time.Minute {
			p.leaked[k] = 600
		}
	})
	var sizes []float64
	for i := range p.events {
		if x := p.events[i].Incident; x != nil {
			sizes = append(sizes, x.Size)
			if x.Kind != "leak" || x.Root != "GET /checkout" || x.Site != k.Site.String() {
				t.Errorf("%+v", x)
			}
		}
	}
	if got, want := phases(p.events), []string{"goroutines-1 opened", "goroutines-1 worsened", "goroutines-1 worsened"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q; sizes %v", got, want, sizes)
	}
}

// Two leaks turn out to have one cause: one of the incidents is closed, and the other one goes on.
func TestIncidentsJoin(t *testing.T) {
	p := newProcess(t)
	a, b := key(Select, "lib.a"), key(Select, "lib.b")
	tracker := p.tracker
	report := func(creation Site) {
		tracker.open = map[Key]*openVerdict{}
		for i, k := range []Key{a, b} {
			o := &openVerdict{Verdict: Verdict{Kind: Leak, Key: k, Count: 100 - i, Creation: creation}}
			tracker.open[k] = o
		}
		tracker.report(&circumstances{now: p.now})
	}
	report(Site{})
	incidents := []*incident{tracker.open[a].incident, tracker.open[b].incident}
	tracker.open[a].Creation, tracker.open[b].Creation = Site{Function: "main.new"}, Site{Function: "main.new"}
	tracker.report(&circumstances{now: p.now})
	tracker.open[a].Creation, tracker.open[b].Creation = Site{}, Site{} // no longer known: they stay joined
	tracker.report(&circumstances{now: p.now})
	tracker.closeVerdict(tracker.open[a], p.now, allEnded)
	tracker.closeVerdict(tracker.open[b], p.now, allEnded)
	p.events = tracker.takeEvents()
	want := []string{"goroutines-1 opened", "goroutines-2 opened", "goroutines-2 closed", "goroutines-1 closed"}
	if got := phases(p.events); !slices.Equal(got, want) || incidents[0] == incidents[1] {
		t.Errorf("%q, want %q", got, want)
	}
}

// A group in an incident is published with its incident, even if many groups are larger.
func TestGroupsOfIncidentsArePublished(t *testing.T) {
	small, pool := key(Select, "lib.small"), key(Select, "lib.pool")
	tracker := groupTracker{
		newest: &Survey{Groups: []Group{{Key: pool, Count: 100}, {Key: key(Select, "lib.other"), Count: 90}, {Key: small, Count: 20}}},
		open: map[Key]*openVerdict{
			small: {Verdict: Verdict{Kind: Leak}, incident: &incident{site: "main.order (main.go:31)", root: "POST /order"}},
			pool:  {Verdict: Verdict{Kind: Pool}},
		},
	}
	f := tracker.findings(1)
	want := []largeGroup{
		{wait: "select", site: "lib.pool (lib.pool.go:42)", entry: "lib.pool.func1", verdict: "pool", goroutines: 100},
		{wait: "select", site: "lib.small (lib.small.go:42)", entry: "lib.small.func1", verdict: "leak", incidentSite: "main.order (main.go:31)", incidentRoot: "POST /order", goroutines: 20},
	}
	if !slices.Equal(f.groups, want) {
		t.Errorf("%+v, want %+v", f.groups, want)
	}
}
