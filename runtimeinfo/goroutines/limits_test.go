// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"strings"
	"testing"
	"time"
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
		if strings.Contains(e.Message, "lasts for 0s") || e.Name == "goroutine.verdict.closed" && strings.Contains(e.Message, "none of") {
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
