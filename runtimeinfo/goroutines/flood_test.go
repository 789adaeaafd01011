// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"slices"
	"testing"
	"time"
)

// newFloodProcess returns a process in which 200 goroutines are a flood, to keep tests short.
func newFloodProcess(t *testing.T) *fakeProcess {
	t.Helper()
	p := newProcess(t)
	p.tracker.rules.minGrowth = 2
	return p
}

// once calls f in the slot that begins at the given time.
func once(start time.Duration, f func()) func(time.Duration) {
	return func(at time.Duration) {
		if at == start {
			f()
		}
	}
}

// Many goroutines that appear before monitoring has a trend, and then neither run nor end,
// are a leak: they wait to send or for a lock, or requests left them.
func TestFloodBeforeTheTrendIsALeak(t *testing.T) {
	for name, tt := range map[string]struct {
		start time.Duration
		like  fakeGoroutine
	}{
		"send, before the first survey":   {0, fakeGoroutine{key: key(ChanSend, "shop.notify")}},
		"lock, before the first survey":   {0, fakeGoroutine{key: key(Mutex, "shop.buy")}},
		"lock, after two surveys":         {2 * testSlot, fakeGoroutine{key: key(Mutex, "shop.buy")}},
		"receive, left by requests":       {0, fakeGoroutine{key: key(ChanReceive, "shop.wait"), root: "GET /a"}},
		"select, left by requests, later": {3 * testSlot, fakeGoroutine{key: key(Select, "shop.wait"), root: "GET /a"}},
	} {
		p := newFloodProcess(t)
		p.accepted = 3
		first, last := p.run(5*time.Minute, func(at time.Duration) {
			p.span("GET /a").end(10, time.Millisecond)
			once(tt.start, func() {
				p.span("GET /a").end(400, time.Millisecond)
				p.add(400, tt.like)
			})(at)
		})
		t.Log(name)
		alarm(t, first, Leak, 200*time.Second)
		if len(last) > 0 {
			t.Log(last[0].String())
		}
	}
}

// Members that end while the group appears do not matter.
func TestFloodOfWhichSomeEndAtFirstIsALeak(t *testing.T) {
	p := newFloodProcess(t)
	first, _ := p.run(7*time.Minute, func(at time.Duration) {
		if at == 0 {
			p.add(400, fakeGoroutine{key: key(Mutex, "shop.buy")})
			p.add(30, fakeGoroutine{key: key(Mutex, "shop.buy"), end: p.now.Add(90 * time.Second)})
		}
	})
	alarm(t, first, Leak, 6*time.Minute)
}

// Large groups that exist from the start are no leak if they run, if they end, or if they wait like
// idle workers and connections do.
func TestLargeGroupsFromTheStartAreNoLeak(t *testing.T) {
	for name, tt := range map[string]struct {
		like  fakeGoroutine
		spans int // that had ended when the group appeared
	}{
		"idle workers":                    {fakeGoroutine{key: key(ChanReceive, "pool.worker")}, 0},
		"idle workers of a first request": {fakeGoroutine{key: key(ChanReceive, "pool.worker"), root: "GET /a"}, 20},
		"idle workers at a condition":     {fakeGoroutine{key: key(Cond, "pool.worker")}, 0},
		"workers that run":                {fakeGoroutine{key: key(Mutex, "pool.worker"), every: 12 * time.Second, wakeup: WakeupGoroutine}, 0},
		"workers that run rarely":         {fakeGoroutine{key: key(ChanSend, "pool.worker"), every: 4 * time.Minute, wakeup: WakeupGoroutine}, 0},
		"idle connections":                {fakeGoroutine{key: key(IO, "nats.readLoop"), root: "GET /a"}, 250},
		"idle connections of net/http": {fakeGoroutine{root: "GET /a", key: Key{
			Class: Select, Site: Site{Function: "net/http.(*persistConn).writeLoop"}, Entry: "net/http.(*persistConn).writeLoop",
		}}, 250},
		"sleepers": {fakeGoroutine{key: key(Sleep, "shop.poll"), root: "GET /a"}, 250},
	} {
		for _, start := range []time.Duration{0, 2 * testSlot} {
			p := newFloodProcess(t)
			p.accepted = 3
			first, _ := p.run(6*time.Minute, func(at time.Duration) {
				p.span("GET /a").end(10, time.Millisecond)
				once(start, func() {
					p.span("GET /a").end(tt.spans, time.Millisecond)
					p.add(250, tt.like)
				})(at)
			})
			t.Logf("%s after %v: %v", name, start, first)
			noAlarm(t, first)
		}
	}
}

// Workers of a pool that grew with a burst of requests are idle when no more requests come.
func TestIdlePoolAfterABurstIsNoLeak(t *testing.T) {
	p := newFloodProcess(t)
	p.accepted = 3
	first, _ := p.run(10*time.Minute, once(0, func() {
		p.span("GET /a").end(250, time.Millisecond)
		p.add(250, fakeGoroutine{key: key(ChanReceive, "pool.worker"), root: "GET /a"})
	}))
	noAlarm(t, first)
}

// Tasks of a batch job wait to send to a channel that limits them to one at a time. Each takes a
// minute.
func TestLimitedTasksAreNoLeak(t *testing.T) {
	p := newFloodProcess(t)
	first, _ := p.run(20*time.Minute, func(at time.Duration) {
		if at == 0 {
			p.add(300, fakeGoroutine{key: key(ChanSend, "batch.task")})
		}
		if at%time.Minute == 0 { // the next task begins
			i := slices.IndexFunc(p.list, func(g *fakeGoroutine) bool { return g.key.Class == ChanSend })
			p.list[i].key, p.list[i].end = key(Select, "batch.call"), p.now.Add(time.Minute)
		}
	})
	noAlarm(t, first)
}

// Streams that clients opened at once keep their connections, and wait for messages.
func TestManySessionsAtOnceAreNoLeak(t *testing.T) {
	p := newFloodProcess(t)
	p.accepted = 3
	first, _ := p.run(10*time.Minute, once(testSlot, func() {
		p.accepted = 253
		p.span("GET /ws").end(250, time.Millisecond)
		p.add(250, fakeGoroutine{key: key(IO, "chat.read"), root: "GET /ws"})
		p.add(250, fakeGoroutine{key: key(Select, "chat.write"), root: "GET /ws"})
	}))
	noAlarm(t, first)
}
