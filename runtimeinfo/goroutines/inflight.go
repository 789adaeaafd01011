// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"fmt"
	"slices"
	"time"
)

// inFlight reports whether the members belong to unfinished requests or jobs: they are handlers
// of a server, or their root spans are still open.
func (c *classifier) inFlight() bool {
	if handlesRequest(c.g) {
		return true
	}
	old := c.labels.old
	if w := c.h.watch; w != nil && c.g.labelled() {
		old = max(old, w.facts.aged)
	}
	return old > 0 && 5*c.labels.open >= 4*old
}

// classifyInFlight distinguishes requests and jobs that hang from those that take long.
func (c *classifier) classifyInFlight() (Kind, string) {
	if why := c.stuck(); why != "" {
		return Stuck, why
	}
	switch {
	case c.facts.turnsOver():
		return c.classifyTurnover()
	case handlesRequest(c.g):
		return c.growing(Connections, "requests in flight, or sessions that last as long as their connection; "+c.soFar())
	default:
		return c.growing(Load, "their root spans are still open; "+c.soFar())
	}
}

const (
	// stoppedSlots is the time in which no span of a name ended, after which its requests are
	// stuck: 100 s with slots of 5 s, longer than sessions and exports of 90 s.
	stoppedSlots = 20
	// longJobSlots is the time after which jobs that wait for an answer are stuck, if it is
	// unknown how long such jobs take: 5 minutes.
	longJobSlots = 60
	// haltedSlots is the time after which all spans of a name are stuck that wait in one place, even
	// if they are few: 2 minutes. They are watched after watchHaltedSlots.
	haltedSlots, watchHaltedSlots = 24, 6
	// minHalted is the smallest number of such spans.
	minHalted = 5
)

// stuck returns why requests in flight hang, or "".
func (c *classifier) stuck() string {
	f := c.facts
	if f.recordings < 2 || !f.silentGroup() || f.sibling != nil {
		return "" // handlers of sessions wait while goroutines created with them work
	}
	stopped := c.t.rules.slots(stoppedSlots)
	waiting := fmt.Sprintf("%d wait for more than %v and did not run during %s", f.silent, round(c.t.rules.slots(ageSlots)), c.recordings())
	if name, since := c.halted(haltedSlots); name != "" && f.aged >= minHalted {
		return fmt.Sprintf("%s; no %s has ended for %v, earlier ones took %v at most", waiting, name, round(since), c.t.spans[name].longest)
	}
	if f.aged < c.t.minStuck(c.g) {
		return ""
	}
	for _, name := range c.labels.names {
		if c.t.spans.collapsed(name, c.in.at, stopped, c.t.rules.minGrowth) {
			return fmt.Sprintf("%s; no %s has ended for %v, earlier ones took %v at most", waiting, name, round(stopped), c.t.spans[name].p99)
		}
	}
	if n := c.t.abandoned(); isHTTP1Handler(c.g) && !c.t.isSession(c.g) && n >= c.t.rules.minGrowth && 2*n >= c.g.Count {
		return fmt.Sprintf("%s; the clients of %d handlers have disconnected", waiting, n)
	}
	if !f.mature || selfWaking(c.g) {
		return ""
	}
	return c.stuckFor(waiting + "; " + c.fate(f.cohort, f.age))
}

// halted returns the name of root spans that all wait in this group, if none of them has ended for
// the given number of slots although they ended regularly before. Then a few spans suffice. The
// members must wait for a lock, to send, for other goroutines, or for a pool: consumers of a
// queue that receives no messages may have a span each while they wait for the next.
func (c *classifier) halted(slots int) (name string, since time.Duration) {
	if !c.g.labelled() || !neverIdle(c.g.Class) && !waitsForPool(c.g) {
		return "", 0
	}
	for _, r := range c.labels.roots {
		since, active, ok := c.t.spans.halted(r.Name, c.in.at, c.t.rules.slots(slots))
		if ok && active >= minHalted && r.Count >= active {
			return r.Name, since
		}
	}
	return "", 0
}

// stuckFor returns why requests of which none has ended hang, or "" if what they wait for may
// take that long.
func (c *classifier) stuckFor(waiting string) string {
	f, handler, longest := c.facts, handlesRequest(c.g), c.longestP99()
	switch {
	case c.g.Class.family() == familyLock:
		return waiting + "; they wait for a lock"
	case c.batch():
		return "" // many goroutines of one job may wait for long
	case (awaitsAnswer(c.g) || waitsForPool(c.g)) && (handler || longest > 0 || c.watched() >= c.t.rules.slots(longJobSlots)):
		return waiting + "; they wait for the answer to a call, or for a connection of a pool"
	case f.reader || f.sessions && !handler:
		return "" // they belong to a session
	case handler && slices.Contains([]WaitClass{IO, Select, SelectForever, ChanReceive}, c.g.Class):
		return "" // a session that its client keeps open waits like that
	case handler || longest > 0 && 10*longest <= f.age:
		return waiting
	default:
		return ""
	}
}

// awaitsAnswer reports whether the members wait for the answer to a call. Waiting for the rest
// of an answer does not count: a handler may pass on a stream that is silent.
func awaitsAnswer(g *Group) bool {
	streams := slices.ContainsFunc(g.Stack, func(s Site) bool {
		return hasAnyPrefix(s.Function, "net/http.(*bodyEOFSignal).Read", "net/http.(*body).Read",
			"net/http.http2transportResponseBody.Read", "net/http/internal/http2.transportResponseBody.Read", "golang.org/x/net/http2.transportResponseBody.Read",
			"google.golang.org/grpc.(*clientStream).RecvMsg")
	})
	unary := slices.ContainsFunc(g.Stack, func(s Site) bool { return s.Function == "google.golang.org/grpc.(*ClientConn).Invoke" })
	return outgoingCall(g) && (!streams || unary)
}

// batch reports whether the members' root spans are jobs: few of them end, and each has several
// goroutines.
func (c *classifier) batch() bool {
	if handlesRequest(c.g) || len(c.labels.names) == 0 {
		return false
	}
	var ended uint64
	active := 0
	for _, name := range c.labels.names {
		ended += c.t.spans.endedWithin(name, c.in.at, c.in.at)
		active += c.in.spans[name].Active
	}
	return ended < fewEnded && 2*active < c.g.Count
}

// longestP99 returns how long root spans of the members' names take, 0 if unknown.
func (c *classifier) longestP99() (longest time.Duration) {
	for _, name := range c.labels.names {
		if h := c.t.spans[name]; h != nil {
			longest = max(longest, h.p99)
		}
	}
	return longest
}

// totals are sums over all groups of a survey.
type totals struct {
	at       map[Key]int // by class and site
	handlers int         // of net/http
	reads    int         // background reads that net/http starts for each handler
}

func (t *groupTracker) totalsOf(s *Survey) totals {
	all := totals{at: make(map[Key]int, len(s.Groups))}
	for i := range s.Groups {
		g := &s.Groups[i]
		all.at[Key{Class: g.Class, Site: g.Site}] += g.Count
		switch {
		case isBackgroundRead(g):
			all.reads += g.Count
		case isHTTP1Handler(g) && !t.isSession(g):
			all.handlers += g.Count
		}
	}
	return all
}

// isSession reports whether handlers have hijacked their connections: they read from them, or
// goroutines created together with them read or work.
func (t *groupTracker) isSession(g *Group) bool {
	if onConnection(g) {
		return true
	}
	w := t.histories[g.Key].watch
	return w != nil && (w.facts.reader || w.facts.sibling != nil)
}

// minStuck returns how many old members make requests stuck: minGrowth, together with all other
// groups that wait at the same site.
func (t *groupTracker) minStuck(g *Group) int {
	others := t.totals.at[Key{Class: g.Class, Site: g.Site}] - g.Count
	return max(minCohort, t.rules.minGrowth-others)
}

// abandoned returns the number of handlers of net/http whose clients have disconnected: the
// server reads in the background while a handler runs, and that read ends with the connection.
func (t *groupTracker) abandoned() int { return max(0, t.totals.handlers-t.totals.reads) }

func isBackgroundRead(g *Group) bool {
	return hasAnyPrefix(g.Entry, "net/http.(*connReader).backgroundRead", "net/http.(*connReader).startBackgroundRead")
}

func isHTTP1Handler(g *Group) bool {
	return hasAnyPrefix(g.Entry, "net/http.(*conn).serve", "net/http.(*Server).Serve.gowrap") && handlesRequest(g)
}
