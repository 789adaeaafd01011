// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Tests of cases at the limits of the rules.

// Each tenant has a connection of its own, whose goroutines the network or another goroutine wakes
// about once a minute, except one that waits for errors. Recordings of five seconds rarely show
// that they run.
func TestRelativesThatSeldomRunExplainSilence(t *testing.T) {
	p := newProcess(t)
	p.accepted = 3
	at := []Site{{Function: "lib.Connect", File: "/lib/conn.go", Line: 3}, {Function: "main.add", File: "/src/main.go", Line: 31}}
	first, _ := p.run(10*time.Minute, func(at1 time.Duration) {
		p.span("GET /").end(100, time.Millisecond)
		if at1 > 250*time.Second {
			return
		}
		p.span("POST /activate").end(7, time.Millisecond)
		p.add(7, fakeGoroutine{key: key(ChanReceive, "lib.flush"), root: "POST /activate", creation: at, every: time.Minute, wakeup: WakeupGoroutine})
		p.add(7, fakeGoroutine{key: key(IO, "lib.read"), root: "POST /activate", creation: at, every: time.Minute, wakeup: WakeupNetwork})
		p.add(7, fakeGoroutine{key: key(Cond, "lib.errors"), root: "POST /activate", creation: at})
	})
	noAlarm(t, first)
}

// The goroutines of leaked connections run only for heartbeats, the first after two minutes.
func TestHeartbeatsDoNotHideLeakedConnections(t *testing.T) {
	p := newProcess(t)
	p.accepted = 3
	at := []Site{{Function: "lib.Connect", File: "/lib/conn.go", Line: 3}, {Function: "main.order", File: "/src/main.go", Line: 31}}
	first, _ := p.run(5*time.Minute, func(time.Duration) {
		p.span("POST /order").end(7, time.Millisecond)
		p.add(7, fakeGoroutine{key: key(IO, "lib.read"), root: "POST /order", creation: at, every: 4 * time.Minute, wakeup: WakeupNetwork})
		p.add(7, fakeGoroutine{key: key(Cond, "lib.errors"), root: "POST /order", creation: at})
	})
	if at, ok := first[Leak]; !ok || at > 3*time.Minute {
		t.Errorf("verdicts %v, want a leak within three minutes", first)
	}
}

// checkTexts fails the test if an event contradicts itself.
func checkTexts(t *testing.T, p *fakeProcess) {
	t.Helper()
	for _, e := range p.events {
		closed := e.Name == "goroutine.verdict.closed" && !strings.HasPrefix(e.Message, "pool")
		if strings.Contains(e.Message, "lasts for 0s") || closed && strings.Contains(e.Message, "none of") {
			t.Errorf("%s: %s", e.Name, e.Message)
		}
	}
}

// The text of an alarm is true while its members begin to end, and when it is closed.
func TestTextsOfAnAlarmWhoseMembersEnd(t *testing.T) {
	p := newProcess(t)
	p.run(5*time.Minute, func(time.Duration) {
		p.span("POST /hold").end(7, time.Millisecond)
		p.add(7, fakeGoroutine{key: key(Select, "shop.hold"), root: "POST /hold", end: p.now.Add(5 * time.Minute)})
	})
	p.run(6*time.Minute, func(at time.Duration) {
		last := p.tracker.incidents()
		for i := range last {
			_, by, found := strings.Cut(last[i].Evidence, " had ended by ")
			if late := found && by[:8] > "10:05:00"; late || strings.Contains(last[i].Evidence, "lasts for 0s") {
				t.Errorf("after %v: %s", at, last[i].Evidence)
			}
		}
	})
	closed := 0
	for _, e := range p.events {
		if e.Name == "goroutine.verdict.closed" && strings.HasPrefix(e.Message, "leak") {
			t.Log(e.Message)
			closed++
		}
	}
	if closed != 1 {
		t.Errorf("%d alarms closed, want one", closed)
	}
	checkTexts(t, p)
}

// A set of caches fills evenly for four minutes, then it is full.
func TestAlarmOnASetIsClosedWhenItIsFull(t *testing.T) {
	for name, tt := range map[string]struct {
		load   int // root spans in each slot, after the set is full
		closes bool
	}{"load goes on": {40, true}, "no load": {0, false}, "night": {4, false}} {
		p := newProcess(t)
		var closed time.Duration
		_, last := p.run(20*time.Minute, func(at time.Duration) {
			for _, e := range p.events {
				if e.Name == "goroutine.verdict.closed" && closed == 0 {
					closed = at
				}
			}
			if at < 4*time.Minute {
				p.span("GET /quota").end(40, time.Millisecond)
				p.add(5, fakeGoroutine{key: key(SelectForever, "cache.loop"), root: "GET /quota"})
				return
			}
			p.span("GET /quota").end(tt.load, time.Millisecond)
		})
		if tt.closes && (closed == 0 || closed > 9*time.Minute) {
			t.Errorf("%s: closed after %v, want within 9 min; verdicts %s", name, closed, kinds(last))
		}
		if !tt.closes && (closed > 0 || len(last) != 1 || last[0].Kind != Leak) {
			t.Errorf("%s: closed after %v, verdicts %s, want one leak", name, closed, kinds(last))
		}
		checkTexts(t, p)
	}
}

// A label that is too long is cut and stands for the names of several root spans. The alarm is closed
// while any of them goes on.
func TestAlarmOnASetWithACutLabelIsClosed(t *testing.T) {
	p := newProcess(t)
	names := []string{"GET /quota/of/a", "GET /quota/of/b"}
	p.tracker.lookup = func(root, epoch string) (runtimeinfo.Origin, bool) {
		o, ok := p.Origin(root, epoch)
		o.Names = names
		return o, ok
	}
	closed := false
	p.run(12*time.Minute, func(at time.Duration) {
		for _, e := range p.events {
			closed = closed || e.Name == "goroutine.verdict.closed"
		}
		for _, name := range names {
			p.span(name).end(20, time.Millisecond)
		}
		if at < 4*time.Minute {
			p.add(5, fakeGoroutine{key: key(SelectForever, "cache.loop"), root: "GET /quota/of/..."})
		}
	})
	if !closed {
		t.Error("the alarm stays open")
	}
}

// Without root spans it is unknown whether the load goes on.
func TestAlarmWithoutSpansStays(t *testing.T) {
	p := newProcess(t)
	_, last := p.run(20*time.Minute, func(at time.Duration) {
		if at < 4*time.Minute {
			p.add(5, fakeGoroutine{key: key(Select, "shop.notify")})
		}
	})
	if len(last) != 1 || last[0].Kind != Leak {
		t.Errorf("verdicts %s, want leak", kinds(last))
	}
}

// around returns 10 s and more, 30 s on average, at most 90 s.
func (p *fakeProcess) around() time.Duration {
	return min(90*time.Second, 10*time.Second+time.Duration(p.random.ExpFloat64()*float64(20*time.Second)))
}

// Seats are held for five minutes. Three in ten holds end earlier, most within a minute.
func TestHoldsOfFiveMinutesAreNoLeak(t *testing.T) {
	for seed := range 5 {
		p := newProcess(t)
		for range seed {
			p.random.Uint64()
		}
		n := 0
		first, _ := p.run(20*time.Minute, func(time.Duration) {
			p.span("POST /hold").end(7, time.Millisecond)
			for range 7 {
				end := 5 * time.Minute
				if n++; n%10 < 3 {
					end = p.around()
				}
				p.add(1, fakeGoroutine{key: key(Select, "shop.hold"), root: "POST /hold", end: p.now.Add(end)})
			}
		})
		noAlarm(t, first)
	}
}

// A leak is reported later if other goroutines at the same place end after long waits.
func TestLeakBesideLongWaits(t *testing.T) {
	p := newProcess(t)
	first, last := p.run(10*time.Minute, func(time.Duration) {
		p.span("POST /hold").end(10, time.Millisecond)
		p.add(7, fakeGoroutine{key: key(Select, "shop.hold"), root: "POST /hold"})
		p.add(3, fakeGoroutine{key: key(Select, "shop.hold"), root: "POST /hold", end: p.now.Add(40 * time.Second)})
	})
	alarm(t, first, Leak, 8*time.Minute)
	t.Log(last[0].String())
}

// Clients connect and stay, at first. Orders leak goroutines more slowly, but all the time.
func TestLeakBesideSessions(t *testing.T) {
	for name, root := range map[string]string{"labelled sessions": "GET /ws", "sessions without labels": ""} {
		p := newProcess(t)
		p.accepted = 3
		first, last := p.run(10*time.Minute, func(at time.Duration) {
			p.span("POST /order").end(7, time.Millisecond)
			p.add(7, fakeGoroutine{key: key(ChanSend, "shop.notify"), root: "POST /order"})
			if at < 250*time.Second {
				p.accepted += 20
				p.add(20, fakeGoroutine{key: key(IO, "ws.read"), root: root, every: time.Minute, wakeup: WakeupNetwork})
			}
		})
		within := 3 * time.Minute
		if root == "" {
			within = 8 * time.Minute // the numbers alone tell
		}
		alarm(t, first, Leak, within)
		if len(last) == 0 || last[0].Key.Site.Function != "shop.notify" {
			t.Errorf("%s: verdicts %v", name, last)
		}
	}
}

// Each session has a goroutine under a root span that its connection does not have.
func TestSessionsUnderAnotherSpanAreNoLeak(t *testing.T) {
	p := newProcess(t)
	p.accepted = 3
	first, _ := p.run(15*time.Minute, func(at time.Duration) {
		p.span("GET /rooms").end(50, time.Millisecond)
		if at < 8*time.Minute || at > 10*time.Minute {
			p.accepted += 10
			p.span("GET /ws").end(10, time.Millisecond)
			p.add(10, fakeGoroutine{key: key(IO, "ws.read")})
			p.add(10, fakeGoroutine{key: key(Select, "ws.write"), root: "GET /ws"})
		}
	})
	noAlarm(t, first)
}

// All consumers of a queue hang at a lock 45 s after the start.
func TestFewStuckConsumers(t *testing.T) {
	for consumers, want := range map[int]bool{12: true, 5: true, 3: false} {
		p := newProcess(t)
		s := p.span("order.consume")
		stuck := key(Mutex, "shop.book")
		stuck.Entry = "shop.consume"
		idle := stuck
		idle.Class, idle.Site = ChanReceive, Site{Function: "shop.consume"}
		p.add(consumers, fakeGoroutine{key: idle, every: 2 * time.Second, wakeup: WakeupGoroutine})
		first, last := p.run(5*time.Minute, func(at time.Duration) {
			p.span("GET /").end(50, time.Millisecond)
			if at < 45*time.Second {
				s.end(200, 60*time.Millisecond)
			}
			if at == 45*time.Second {
				p.list = nil
				p.add(consumers, fakeGoroutine{key: stuck, root: "order.consume"})
				for range consumers {
					s.open = append(s.open, p.now)
				}
			}
		})
		if !want {
			noAlarm(t, first)
			continue
		}
		alarm(t, first, Stuck, 4*time.Minute)
		if len(last) > 0 {
			t.Log(last[0].String())
		}
		_, last = p.run(time.Minute, func(at time.Duration) { // the lock is free again
			if at == 0 {
				p.list, s.open = nil, nil
				p.add(consumers, fakeGoroutine{key: idle, every: 2 * time.Second, wakeup: WakeupGoroutine})
			}
			s.end(200, 60*time.Millisecond)
		})
		if len(last) != 0 {
			t.Errorf("verdicts %s after they work again", kinds(last))
		}
	}
}

// Few jobs that may take long are not stuck, and neither are consumers without messages.
func TestFewWaitingJobsAreNotStuck(t *testing.T) {
	for name, tt := range map[string]struct {
		class WaitClass
		took  time.Duration
		jobs  int // that hang; as many others are active
		other int
	}{
		"long jobs":               {Mutex, 30 * time.Second, 12, 0},
		"others are active":       {Mutex, 60 * time.Millisecond, 12, 4},
		"consumers wait for work": {ChanReceive, 60 * time.Millisecond, 12, 0},
		"network":                 {IO, 60 * time.Millisecond, 12, 0},
	} {
		p := newProcess(t)
		s := p.span("job")
		first, _ := p.run(8*time.Minute, func(at time.Duration) {
			if at < 3*time.Minute {
				s.end(5, tt.took)
			}
			if at == 3*time.Minute {
				p.add(tt.jobs, fakeGoroutine{key: key(tt.class, "shop.job"), root: "job"})
				p.add(tt.other, fakeGoroutine{key: key(Select, "shop.other"), root: "job", every: time.Second, wakeup: WakeupGoroutine})
				for range tt.jobs + tt.other {
					s.open = append(s.open, p.now)
				}
			}
		})
		t.Log(name, first)
		noAlarm(t, first)
	}
}

// Each request leaves a subscriber that gets every price.
func TestSubscribersThatWorkAreALeak(t *testing.T) {
	p := newProcess(t)
	p.accepted = 3
	first, last := p.run(20*time.Minute, func(at time.Duration) {
		if at < 12*time.Minute { // then the load stops
			p.span("GET /prices").end(10, time.Millisecond)
			p.add(10, fakeGoroutine{key: key(ChanReceive, "shop.follow"), root: "GET /prices", every: 500 * time.Millisecond, wakeup: WakeupGoroutine})
		}
	})
	alarm(t, first, Leak, 9*time.Minute)
	if at := first[Leak]; at < 5*time.Minute {
		t.Errorf("a leak after %v, want at least five minutes", at)
	}
	if len(last) != 1 || last[0].Kind != Leak {
		t.Fatalf("verdicts %s, want leak although the load has stopped", kinds(last))
	}
	t.Log(last[0].String())

	_, last = p.run(5*time.Minute, func(at time.Duration) { // most are removed
		if at == 0 {
			p.list = p.list[:len(p.list)/3]
		}
	})
	for i := range last {
		if last[i].Kind.Suspect() {
			t.Errorf("verdict %s after most have ended", last[i].String())
		}
	}
	checkTexts(t, p)
}

// Goroutines that work accumulate, but not for ever, or not with each request.
func TestWorkersThatAccumulateAreNoLeak(t *testing.T) {
	work := fakeGoroutine{key: key(ChanReceive, "shop.follow"), root: "GET /prices", every: 2 * time.Second, wakeup: WakeupGoroutine}
	for name, tt := range map[string]struct {
		spans  func(at time.Duration) int // in each slot
		joins  func(at time.Duration, spans int) int
		last   time.Duration // how long each stays; 0: for ever
		accept bool          // each has a connection
	}{
		"loops of new tenants": {func(time.Duration) int { return 40 }, func(time.Duration, int) int { return 7 }, 0, false},
		"a set that is full": {func(time.Duration) int { return 10 }, func(at time.Duration, n int) int {
			if at > 250*time.Second {
				return 0
			}
			return n
		}, 0, false},
		"tenants come for four minutes": {func(at time.Duration) int {
			if at > 250*time.Second {
				return 0
			}
			return 7
		}, func(_ time.Duration, n int) int { return n }, 0, false},
		"sessions":             {func(time.Duration) int { return 10 }, func(_ time.Duration, n int) int { return n }, 0, true},
		"jobs of five minutes": {func(time.Duration) int { return 10 }, func(_ time.Duration, n int) int { return n }, 5 * time.Minute, false},
	} {
		p := newProcess(t)
		p.accepted = 3
		first, _ := p.run(20*time.Minute, func(at time.Duration) {
			n := tt.spans(at)
			p.span("GET /prices").end(n, time.Millisecond)
			joins := tt.joins(at, n)
			like := work
			if tt.last > 0 {
				like.end = p.now.Add(tt.last)
			}
			if tt.accept {
				p.accepted += joins
			}
			p.add(joins, like)
		})
		t.Log(name, first)
		noAlarm(t, first)
	}
}

// A subscription is leaked for each request. Its goroutine handles messages until nobody takes them,
// and then waits to send. The alarm on those that wait names the line that created them.
func TestMembersThatMoveOnKeepTheirCreationLine(t *testing.T) {
	p := newProcess(t)
	creation := []Site{{Function: "main.subscribe", File: "/src/main.go", Line: 31}}
	works := Key{ChanReceive, Site{Function: "lib.loop", File: "/lib/lib.go", Line: 14}, "lib.loop"}
	waits := Key{ChanSend, Site{Function: "lib.loop", File: "/lib/lib.go", Line: 18}, "lib.loop"}
	first, last := p.run(10*time.Minute, func(time.Duration) {
		p.span("GET /events").end(2, time.Second)
		p.add(2, fakeGoroutine{key: works, root: "GET /events", creation: creation, every: testSlot, wakeup: WakeupNetwork})
		for _, g := range p.list {
			if p.now.Sub(g.born) == 3*time.Minute {
				g.key, g.every = waits, 0
			}
		}
	})
	if at, ok := first[Leak]; !ok || at > 8*time.Minute {
		t.Errorf("verdicts %v, want a leak within eight minutes", first)
	}
	for i := range last {
		if v := &last[i]; v.Kind == Leak && (v.Key != waits || v.Creation != creation[0]) {
			t.Errorf("created at %s, want %s: %s", v.Creation, creation[0], v)
		}
	}
}
