// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
)

// Each request starts a goroutine that waits forever.
func TestLeakUnderSpan(t *testing.T) {
	p := newProcess(t)
	first, last := p.run(4*time.Minute, func(time.Duration) {
		p.span("GET /checkout").end(25, 10*time.Millisecond)
		p.add(10, fakeGoroutine{key: key(ChanReceive, "shop.checkout"), root: "GET /checkout", creation: []Site{{Function: "main.checkout", File: "/src/main.go", Line: 7}}})
	})
	alarm(t, first, Leak, 3*time.Minute)
	if at, ok := first[Growing]; !ok || at > 45*time.Second {
		t.Errorf("shown as growing after %v, want within 45 s", at)
	}
	v := last[0]
	t.Log(v.String())
	if len(v.Roots) != 1 || v.Roots[0].Name != "GET /checkout" || v.Creation.Line != 7 {
		t.Errorf("roots %+v, where %v, created at %v", v.Roots, v.Where, v.Creation)
	}
}

// The label is the name of the span if the origin has no names.
func TestLeakUnderSpanNamedByLabel(t *testing.T) {
	p := newProcess(t)
	p.noNames = true
	first, _ := p.run(4*time.Minute, func(time.Duration) {
		p.span("GET /checkout").end(25, 10*time.Millisecond)
		p.add(10, fakeGoroutine{key: key(ChanReceive, "shop.checkout"), root: "GET /checkout"})
	})
	alarm(t, first, Leak, 3*time.Minute)
}

func TestLeakWithoutSpans(t *testing.T) {
	p := newProcess(t)
	first, last := p.run(4*time.Minute, func(time.Duration) { p.add(5, fakeGoroutine{key: key(Select, "shop.notify")}) })
	alarm(t, first, Leak, 3*time.Minute)
	t.Log(last[0].String())
}

func TestNoLeakWithoutARecording(t *testing.T) {
	p := newProcess(t)
	p.noRecord = true
	first, _ := p.run(10*time.Minute, func(time.Duration) { p.add(10, fakeGoroutine{key: key(Select, "shop.notify")}) })
	noAlarm(t, first)
	if _, ok := first[Growing]; !ok {
		t.Errorf("verdicts %v, want growing", first)
	}
}

// 6 goroutines a minute leak where other goroutines wait briefly.
func TestSlowLeak(t *testing.T) {
	p := newProcess(t)
	n := 0
	first, _ := p.run(8*time.Minute, func(time.Duration) {
		p.span("GET /a").end(1250, 10*time.Millisecond)
		p.add(20, fakeGoroutine{key: key(ChanReceive, "shop.a"), root: "GET /a", end: p.now.Add(time.Second)})
		if n++; n%2 == 0 {
			p.add(1, fakeGoroutine{key: key(ChanReceive, "shop.a"), root: "GET /a"})
		}
	})
	alarm(t, first, Leak, 6*time.Minute)
}

// 1 % of the requests of a load that rises from 20 to 220 a second leak. A recording may begin some
// time after a survey, and end a moment early.
func TestLeakUnderRisingLoad(t *testing.T) {
	for _, length := range []time.Duration{testSlot, testSlot - 20*time.Millisecond, testSlot / 5} {
		for _, lag := range []time.Duration{0, time.Second} {
			p := newProcess(t)
			p.lag, p.length = lag, length
			due := 0.0
			first, _ := p.run(5*time.Minute, func(at time.Duration) {
				rate := 20 + 200*min(1, at.Minutes()/3)
				p.span("GET /a").end(int(5*rate), 10*time.Millisecond)
				for due += 0.05 * rate; due >= 1; due-- {
					p.add(1, fakeGoroutine{key: key(ChanSend, "shop.a"), root: "GET /a"})
				}
			})
			t.Logf("recordings of %v, %v after a survey: %v", length, lag, first)
			alarm(t, first, Leak, 170*time.Second)
		}
	}
}

// Sessions last 45 s on average; their handlers have returned.
func TestSessionsAreNoLeak(t *testing.T) {
	for _, rate := range []int{2, 20, 80} {
		p := newProcess(t)
		first, _ := p.run(10*time.Minute, func(time.Duration) {
			p.span("GET /ws").end(rate, time.Millisecond)
			for range rate {
				p.add(1, fakeGoroutine{key: key(Select, "chat.write"), root: "GET /ws", end: p.now.Add(time.Duration(p.random.ExpFloat64() * 45 * float64(time.Second)))})
			}
		})
		noAlarm(t, first)
	}
}

// Goroutines that end after a fixed time do not run until then.
func TestTimersAreNoLeak(t *testing.T) {
	for _, d := range []time.Duration{20 * time.Second, 40 * time.Second, time.Minute, 90 * time.Second, 2 * time.Minute} {
		p := newProcess(t)
		first, _ := p.run(10*time.Minute, func(time.Duration) {
			p.span("POST /order").end(10, time.Millisecond)
			p.add(10, fakeGoroutine{key: key(ChanReceive, "shop.later"), root: "POST /order", end: p.now.Add(d)})
		})
		noAlarm(t, first)
	}
}

// Sleeping goroutines end by themselves, even after five minutes.
func TestSleepersAreNoLeak(t *testing.T) {
	p := newProcess(t)
	first, _ := p.run(12*time.Minute, func(time.Duration) {
		p.add(10, fakeGoroutine{key: key(Sleep, "shop.later"), end: p.now.Add(5 * time.Minute)})
	})
	noAlarm(t, first)
}

// A cache for each of 150 customers is created with the first request of the customer.
func TestBoundedSetIsNoLeak(t *testing.T) {
	for _, perSlot := range []int{2, 5, 10} {
		p := newProcess(t)
		known := 0
		first, _ := p.run(15*time.Minute, func(time.Duration) {
			p.span("GET /quota").end(40, time.Millisecond)
			n := min(perSlot, 150-known)
			if perSlot == 2 { // random customers: fewer and fewer are new
				n = (150 - known) / 8
			}
			known += n
			p.add(n, fakeGoroutine{key: key(SelectForever, "cache.loop"), root: "GET /quota"})
		})
		if perSlot != 2 {
			continue // a set that grows evenly for minutes is reported
		}
		noAlarm(t, first)
	}
}

// Workers of a pool that grows with the load run now and then.
func TestPoolIsNoLeak(t *testing.T) {
	p := newProcess(t)
	first, _ := p.run(10*time.Minute, func(time.Duration) {
		p.span("POST /mail").end(100, time.Millisecond)
		p.add(5, fakeGoroutine{key: key(ChanReceive, "pool.worker"), root: "POST /mail", every: 12 * time.Second, wakeup: WakeupGoroutine})
	})
	noAlarm(t, first)
	if _, ok := first[Pool]; !ok {
		t.Errorf("verdicts %v, want pool", first)
	}
}

// Goroutines that wake themselves are a leak only after they have accumulated for long.
func TestLoopLeaks(t *testing.T) {
	p := newProcess(t)
	first, _ := p.run(20*time.Minute, func(time.Duration) {
		p.span("GET /stats").end(25, time.Millisecond)
		p.add(5, fakeGoroutine{key: key(Select, "stats.flush"), root: "GET /stats", every: 4 * time.Second, wakeup: WakeupTimer})
	})
	if at := first[Leak]; at < 8*time.Minute || at > 15*time.Minute {
		t.Errorf("verdicts %v, want leak after 8 to 15 min", first)
	}

	p = newProcess(t) // one object for each request, with a timer of a minute
	first, last := p.run(5*time.Minute, func(time.Duration) {
		p.span("GET /cart").end(25, time.Millisecond)
		p.add(25, fakeGoroutine{key: key(Select, "redis.reaper"), root: "GET /cart", every: time.Minute, wakeup: WakeupTimer})
	})
	alarm(t, first, Leak, 3*time.Minute)
	t.Log(last[0].String())

	p, known := newProcess(t), 0 // 260 tenants
	first, _ = p.run(20*time.Minute, func(time.Duration) {
		p.span("GET /stats").end(40, time.Millisecond)
		n := (260 - known + 6) / 8
		known += n
		p.add(n, fakeGoroutine{key: key(Select, "stats.flush"), root: "GET /stats", every: 4 * time.Second, wakeup: WakeupTimer})
	})
	noAlarm(t, first)
}

// The write loops of streams do not run, but the readers created by the same call do.
func TestActiveSiblingExplainsSilence(t *testing.T) {
	p := newProcess(t)
	at := []Site{{Function: "lib.Stream", File: "/lib/stream.go", Line: 3}, {Function: "main.subscribe", File: "/src/main.go", Line: 31}}
	first, _ := p.run(10*time.Minute, func(time.Duration) {
		p.add(2, fakeGoroutine{key: key(Select, "lib.writeLoop"), creation: at})
		p.add(2, fakeGoroutine{key: key(ChanReceive, "lib.read"), creation: at, every: 3 * time.Second, wakeup: WakeupNetwork})
	})
	noAlarm(t, first)
}

// The number of sessions follows the number of accepted connections.
func TestAcceptedConnectionsAreNoLeak(t *testing.T) {
	p := newProcess(t)
	p.accepted = 3
	first, _ := p.run(10*time.Minute, func(time.Duration) {
		p.accepted += 10
		p.add(10, fakeGoroutine{key: key(IO, "chat.read")})
		p.add(10, fakeGoroutine{key: key(Select, "chat.write")})
	})
	noAlarm(t, first)
	if _, ok := first[Connections]; !ok {
		t.Errorf("verdicts %v, want connections", first)
	}
	p = newProcess(t) // as many, none accepted: clients that are never closed
	p.accepted = 3
	first, _ = p.run(4*time.Minute, func(time.Duration) { p.add(10, fakeGoroutine{key: key(IO, "nats.readLoop")}) })
	alarm(t, first, Leak, 3*time.Minute)
}

// Seconds after the start, when 20 requests have ended, every handler blocks.
func TestStuckSoonAfterStart(t *testing.T) {
	p := newProcess(t)
	k := key(Select, "puddle.acquire")
	k.Entry = "net/http.(*conn).serve"
	p.span("GET /user").end(20, 10*time.Millisecond)
	first, last := p.run(4*time.Minute, func(time.Duration) {
		for range 50 {
			p.span("GET /user").open = append(p.span("GET /user").open, p.now)
		}
		p.add(50, fakeGoroutine{key: k, root: "GET /user"})
	})
	alarm(t, first, Stuck, 3*time.Minute)
	t.Log(last[0].String())
}

// Handlers of gRPC hang after a minute of normal operation.
func TestStuckGRPCHandlers(t *testing.T) {
	p := newProcess(t)
	k := key(ChanReceive, "shop.(*server).Get")
	k.Entry = "google.golang.org/grpc.(*Server).serveStreams.func2.1"
	s := p.span("/shop/Get")
	p.run(time.Minute, func(time.Duration) { s.end(500, 10*time.Millisecond) })
	first, _ := p.run(4*time.Minute, func(time.Duration) {
		for range 50 {
			s.open = append(s.open, p.now)
		}
		p.add(50, fakeGoroutine{key: k, root: "/shop/Get"})
	})
	alarm(t, first, Stuck, 3*time.Minute)
}

// Forty workers have tasks that are root spans of 40 to 90 s.
func TestLongTasksAreNotStuck(t *testing.T) {
	for _, d := range []time.Duration{40 * time.Second, 75 * time.Second, 90 * time.Second} {
		p := newProcess(t)
		s := p.span("task")
		var ends []time.Time
		first, _ := p.run(10*time.Minute, func(time.Duration) {
			for len(ends) > 0 && !ends[0].After(p.now) {
				ends, s.open = ends[1:], s.open[1:]
				s.end(1, d)
			}
			if n := 40 - len(s.open); n > 0 {
				p.add(n, fakeGoroutine{key: key(Select, "shop.task"), root: "task", end: p.now.Add(d)})
				for range n {
					s.open, ends = append(s.open, p.now), append(ends, p.now.Add(d))
				}
			}
		})
		noAlarm(t, first)
	}
}

// One span in 25 is a long poll of the same name, which does not hide the leak.
func TestLeakUnderMixedName(t *testing.T) {
	p := newProcess(t)
	var polls []time.Time
	first, last := p.run(5*time.Minute, func(time.Duration) {
		s := p.span("GET")
		s.end(130, 15*time.Second)
		polls = append(polls, p.now, p.now, p.now, p.now, p.now)
		if len(polls) > 15 {
			polls = polls[5:]
		}
		s.open = polls
		p.add(25, fakeGoroutine{key: key(ChanSend, "shop.export"), root: "GET"})
	})
	alarm(t, first, Leak, 3*time.Minute)
	t.Log(last[0].String())
}

// Expensive surveys are taken every 25 s.
func TestLeakWithRareSurveys(t *testing.T) {
	p := newProcess(t)
	first, _ := p.run(5*time.Minute, func(time.Duration) {
		p.add(125, fakeGoroutine{key: key(Select, "clickhouse.loop"), root: "GET /stats"})
		p.span("GET /stats").end(125, time.Millisecond)
		p.now = p.now.Add(20 * time.Second)
	})
	alarm(t, first, Leak, 5*time.Minute)
}

// An alarm is closed when its evidence no longer holds.
func TestAlarmIsClosed(t *testing.T) {
	p := newProcess(t)
	p.run(4*time.Minute, func(time.Duration) { p.add(5, fakeGoroutine{key: key(Select, "shop.notify")}) })
	for _, g := range p.list { // they end late
		g.end = p.now.Add(time.Duration(p.random.IntN(300)) * time.Second)
	}
	_, last := p.run(6*time.Minute, func(time.Duration) {})
	if len(last) != 0 {
		t.Errorf("verdicts %s after all have ended", kinds(last))
	}
	names := map[string]int{}
	for _, e := range p.events {
		names[e.Name]++
	}
	if names["goroutine.verdict.opened"] == 0 || names["goroutine.verdict.closed"] == 0 {
		t.Errorf("events %v", names)
	}
}

// An object created for each request has three goroutines: one incident.
func TestOneCauseIsOneIncident(t *testing.T) {
	p := newProcess(t)
	at := []Site{{Function: "lib.New", File: "/lib/lib.go", Line: 3}, {Function: "main.order", File: "/src/main.go", Line: 31}}
	_, last := p.run(4*time.Minute, func(time.Duration) {
		p.span("POST /order").end(5, time.Millisecond)
		for _, f := range []string{"lib.a", "lib.b", "lib.c"} {
			p.add(5, fakeGoroutine{key: key(Select, f), root: "POST /order", creation: at})
		}
	})
	if len(last) != 1 || last[0].Kind != Leak || len(last[0].Also) != 2 {
		t.Errorf("verdicts %s, want one leak with two more groups", kinds(last))
	}
	opened := 0
	for _, e := range p.events {
		if e.Name == "goroutine.verdict.opened" {
			opened++
		}
	}
	if opened != 1 {
		t.Errorf("%d opened, want one", opened)
	}
}

func TestLeakProfileNeedsNoRecording(t *testing.T) {
	p := newProcess(t)
	p.noRecord = true
	p.leaked[key(ChanSend, "shop.a")] = 30
	first, _ := p.run(time.Minute, func(time.Duration) { p.add(10, fakeGoroutine{key: key(ChanSend, "shop.a")}) })
	alarm(t, first, LeakProven, time.Minute)
}

// If the memory lasts for minutes only, an alarm comes sooner.
func TestDangerousLeakIsReportedSooner(t *testing.T) {
	p := newProcess(t)
	first, last := p.run(4*time.Minute, func(time.Duration) { p.add(3000, fakeGoroutine{key: key(ChanSend, "shop.notify")}) })
	alarm(t, first, Leak, 100*time.Second)
	t.Log(last[0].String())
}

// The goroutines of two functions wait for one exhausted pool. Each group is too small for a verdict
// of its own.
func TestOneOutageIsOneIncident(t *testing.T) {
	p := newProcess(t)
	pool := Site{Function: "database/sql.(*DB).conn", File: "/go/sql.go", Line: 1369}
	a := Key{Select, pool, "shop.orders.func1"}
	b := Key{Select, pool, "shop.carts.func1"}
	for _, name := range []string{"GET /a", "GET /b"} {
		p.span(name).end(200, 10*time.Millisecond)
	}
	p.run(2*time.Minute, func(time.Duration) {})
	for range 21 {
		p.span("GET /a").open = append(p.span("GET /a").open, p.now)
		p.span("GET /b").open = append(p.span("GET /b").open, p.now)
	}
	p.add(21, fakeGoroutine{key: a, root: "GET /a"})
	p.add(17, fakeGoroutine{key: b, root: "GET /b"})
	first, last := p.run(4*time.Minute, func(time.Duration) {})
	alarm(t, first, Stuck, 3*time.Minute)
	if len(last) != 1 || len(last[0].Also) != 1 {
		t.Errorf("verdicts %v", last)
	}
}

// Evaluating eight times as many growing groups takes about eight times as long.
func TestClassifyingIsLinear(t *testing.T) {
	prepare := func(groups int) func() time.Duration {
		p := newProcess(t)
		for i := range groups {
			k := key(Select, "lib.loop")
			k.Site.Line = i
			for range 4 {
				p.add(3, fakeGoroutine{key: k, root: "GET /a"})
			}
		}
		p.span("GET /a").end(groups, time.Millisecond)
		s := p.survey()
		return func() time.Duration {
			for i := range s.Groups {
				s.Groups[i].Count += 3
			}
			p.now = p.now.Add(testSlot)
			in := circumstances{now: p.now, created: p.made, spans: p.groups(), leaked: func(Key) int { return 0 }}
			meter := cputime.Start() // independent of the load
			p.tracker.survey(s, in)
			return meter.Stop()
		}
	}
	few, many := prepare(500), prepare(4000)
	bestFew, bestMany := few(), many()
	for range 20 { // alternately: the machine may be busy
		bestFew, bestMany = min(bestFew, few()), min(bestMany, many())
	}
	if bestMany > 32*bestFew {
		t.Errorf("8 times as many groups take %v, compared with %v", bestMany, bestFew)
	}
}

// The handlers of sessions wait for goroutines that read and write. They are not stuck, with or
// without messages.
func TestSessionHandlersAreNotStuck(t *testing.T) {
	for name, every := range map[string]time.Duration{"busy": 3 * time.Second, "quiet": 0} {
		p := newProcess(t)
		p.accepted = 0
		handler := key(ChanReceive, "chat.serve")
		handler.Entry = "net/http.(*conn).serve"
		s := p.span("GET /ws")
		s.end(30, 5*time.Millisecond) // rejected
		at := []Site{{Function: "main.serve", File: "/src/main.go", Line: 31}}
		first, _ := p.run(10*time.Minute, func(time.Duration) {
			p.accepted += 3
			for range 3 {
				s.open = append(s.open, p.now)
			}
			p.add(3, fakeGoroutine{key: handler, root: "GET /ws"})
			p.add(3, fakeGoroutine{key: key(IO, "chat.read"), root: "GET /ws", creation: at, every: every, wakeup: WakeupNetwork})
			p.add(3, fakeGoroutine{key: key(Select, "chat.write"), root: "GET /ws", creation: at, every: every, wakeup: WakeupGoroutine})
			if p.now.Sub(p.start)%(20*time.Second) == 0 {
				s.end(1, 5*time.Millisecond)
			}
		})
		for _, e := range p.events {
			if e.Severity > 0 {
				t.Logf("%s: %s", name, e.Message)
			}
		}
		noAlarm(t, first)
	}
}

// Each job waits for an answer that never comes. None has ended, so that it is unknown how long jobs
// take, and the verdict takes longer. One job with many waiting goroutines gets no verdict.
func TestJobsThatNeverGetAnAnswer(t *testing.T) {
	k := key(Select, "net/http.(*persistConn).roundTrip")
	k.Entry = "shop.sync"
	for jobs, want := range map[int]bool{1: true, 40: false} { // goroutines for each span
		p := newProcess(t)
		s := p.span("sync")
		first, _ := p.run(8*time.Minute, func(at time.Duration) {
			if jobs == 1 || at == 0 {
				s.open = append(s.open, p.now)
			}
			if jobs == 1 || at < 4*time.Minute {
				p.add(1, fakeGoroutine{key: k, root: "sync"})
			}
		})
		if at, ok := first[Stuck]; ok != want || ok && at < 5*time.Minute {
			t.Errorf("%d goroutines for a span: verdicts %v, stuck %v wanted", jobs, first, want)
		}
		if _, ok := first[Leak]; ok {
			t.Errorf("%d goroutines for a span: a leak although the spans are open", jobs)
		}
	}
}

// Handlers that wait for the answer to a call or for a connection of a pool are stuck, although their
// clients stay connected. Handlers that pass on a stream are not.
func TestHandlersThatWaitForUpstreams(t *testing.T) {
	for site, want := range map[string]bool{
		"net/http.(*persistConn).roundTrip": true,
		"database/sql.(*DB).conn":           true,
		"net/http.(*bodyEOFSignal).Read":    false,
		"shop.events":                       false,
	} {
		p := newProcess(t)
		p.accepted = 0
		handler := key(Select, site)
		handler.Entry = "net/http.(*conn).serve"
		read := key(IO, "net/http.(*connReader).backgroundRead")
		read.Entry = "net/http.(*connReader).backgroundRead"
		first, _ := p.run(5*time.Minute, func(time.Duration) {
			p.accepted += 5
			p.add(5, fakeGoroutine{key: handler})
			p.add(5, fakeGoroutine{key: read})
			p.add(5, fakeGoroutine{key: key(IO, "net/http.(*persistConn).readLoop")})
		})
		if at, ok := first[Stuck]; ok != want || ok && at > 3*time.Minute {
			t.Errorf("%s: verdicts %v, stuck %v wanted", site, first, want)
		}
	}
}

// Handlers that wait for the end of a program's output are stuck once their clients have left. The
// goroutines that read the output do not make them sessions: they read a pipe, not a connection.
func TestHandlersThatWaitForAPipe(t *testing.T) {
	for read, want := range map[string]bool{"os.(*File).Read": true, "net.(*conn).Read": false} {
		p := newProcess(t)
		p.accepted = 0
		handler := key(ChanReceive, "shop.convert")
		handler.Entry = "net/http.(*conn).serve"
		output := key(IO, "os/exec.(*Cmd).writerDescriptor.func1")
		output.Entry = "os/exec.(*Cmd).Start.func2"
		p.under = map[Key]string{output: read}
		background := key(IO, "net/http.(*connReader).backgroundRead")
		background.Entry = "net/http.(*connReader).backgroundRead"
		s := p.span("POST /convert")
		first, _ := p.run(6*time.Minute, func(time.Duration) {
			p.accepted += 2
			s.open = append(s.open, p.now, p.now)
			s.end(8, 20*time.Millisecond)
			p.add(2, fakeGoroutine{key: handler, root: "POST /convert"})
			p.add(2, fakeGoroutine{key: output, root: "POST /convert", creation: []Site{{Function: "os/exec.(*Cmd).Start"}, {Function: "shop.convert", File: "/src/shop.go", Line: 7}}})
			p.add(2, fakeGoroutine{key: background, root: "POST /convert", end: p.now.Add(30 * time.Second)})
		})
		if at, ok := first[Stuck]; ok != want || ok && at > 4*time.Minute {
			t.Errorf("%s: verdicts %v, stuck %v wanted", read, first, want)
		}
	}
}
