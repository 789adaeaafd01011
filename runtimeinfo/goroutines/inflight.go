// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"fmt"
	"slices"
	"time"
)

// inFlight reports whether the members are requests or jobs that are not over: they
// are handlers of a server, or their root spans are still open.
func (j *judgement) inFlight() bool {
	if handlesRequest(j.g) {
		return true
	}
	old := j.labels.old
	if w := j.tr.watch; w != nil && j.g.labelled() {
		old = max(old, w.facts.aged)
	}
	return old > 0 && 5*j.labels.open >= 4*old
}

// classifyInFlight tells handlers and jobs that hang from those that last long.
func (j *judgement) classifyInFlight() (Kind, string) {
	if why := j.stuck(); why != "" {
		return Stuck, why
	}
	f := j.facts
	switch {
	case f.comesAndGoes():
		return j.classifyTurnover()
	case handlesRequest(j.g):
		return j.growing(Connections, "requests in flight, or sessions that last as long as their connection; "+j.soFar())
	default:
		return j.growing(Load, "their root spans are still open; "+j.soFar())
	}
}

const (
	// stoppedSlots is how long no span of a name may have ended before its requests
	// are stuck: 100 s with slots of 5 s. Sessions and exports of 90 s are not.
	stoppedSlots = 20
	// longJobSlots is for how long spans must have been watched that wait for an answer
	// if it is unknown how long such spans take, and no client waits: 5 min. They
	// may be jobs of minutes.
	longJobSlots = 60
)

// stuck returns why requests in flight hang, "" if they do not.
func (j *judgement) stuck() string {
	f := j.facts
	if f.looks < 2 || !f.silentGroup() || f.aged < j.t.crowd(j.g) || f.sibling != nil {
		return "" // handlers of sessions wait while goroutines made with them work
	}
	waiting := fmt.Sprintf("%d wait for more than %v and did not run during %s", f.silent, round(j.t.rules.slots(ageSlots)), j.recordings())
	for _, name := range j.labels.names {
		if j.t.spans.collapsed(name, j.in.at, j.t.rules.slots(stoppedSlots), j.t.rules.minGrowth) {
			return fmt.Sprintf("%s; no %s has ended for %v, earlier ones took %v at most", waiting, name, round(j.t.rules.slots(stoppedSlots)), j.t.spans.names[name].usual)
		}
	}
	if n := j.t.abandoned(); isHTTP1Handler(j.g) && !j.t.isSession(j.g) && n >= j.t.rules.minGrowth && 2*n >= j.g.Count {
		return fmt.Sprintf("%s; the clients of %d handlers have left", waiting, n)
	}
	if !f.mature || selfWaking(j.g) {
		return ""
	}
	return j.stuckFor(waiting + fmt.Sprintf("; none of the %d that were there %v ago has ended", f.stayed, round(f.age)))
}

// stuckFor returns why requests of which none has ended hang, "" where what they wait
// for may take as long.
func (j *judgement) stuckFor(waiting string) string {
	f := j.facts
	switch {
	case j.g.Class.Family() == FamilyLock:
		return waiting + "; they wait for a lock"
	case j.batch():
		return "" // one job may wait for long with many goroutines
	case (awaitsAnswer(j.g) || waitsForPool(j.g)) && (handlesRequest(j.g) || j.usual() > 0 || j.watched() >= j.t.rules.slots(longJobSlots)):
		return waiting + "; they wait for the answer to a call, or to be able to make one"
	case f.reader || f.sessions && !handlesRequest(j.g):
		return "" // they belong to a session
	case handlesRequest(j.g) && (j.g.Class == IO || j.g.Class == Select || j.g.Class == SelectForever || j.g.Class == ChanReceive):
		return "" // a session that its client keeps open looks like that
	case handlesRequest(j.g) || j.usual() > 0 && 10*j.usual() <= f.age:
		return waiting
	default:
		return ""
	}
}

// awaitsAnswer reports whether the members wait for the answer to a call, and not for
// more of an answer that has begun: a handler may pass on a stream that is silent.
func awaitsAnswer(g *Group) bool {
	streams := slices.ContainsFunc(g.Stack, func(s Site) bool {
		return hasAnyPrefix(s.Function, "net/http.(*bodyEOFSignal).Read", "net/http.(*body).Read",
			"net/http.http2transportResponseBody.Read", "net/http/internal/http2.transportResponseBody.Read", "golang.org/x/net/http2.transportResponseBody.Read",
			"google.golang.org/grpc.(*clientStream).RecvMsg")
	})
	unary := slices.ContainsFunc(g.Stack, func(s Site) bool { return s.Function == "google.golang.org/grpc.(*ClientConn).Invoke" })
	return outgoingCall(g) && (!streams || unary)
}

// batch reports whether the members' root spans are jobs of which few end, each with many
// goroutines.
func (j *judgement) batch() bool {
	if handlesRequest(j.g) || len(j.labels.names) == 0 {
		return false
	}
	var ended uint64
	active := 0
	for _, name := range j.labels.names {
		ended += j.t.spans.endedLately(name, j.in.at, j.in.at)
		active += j.in.spans[name].Active
	}
	return ended < fewEnded && 2*active < j.g.Count
}

// usual returns how long ended root spans took at most, 0 if that is unknown.
func (j *judgement) usual() (longest time.Duration) {
	for _, name := range j.labels.names {
		if h := j.t.spans.names[name]; h != nil {
			longest = max(longest, h.usual)
		}
	}
	return longest
}

// place is where goroutines wait, whatever function they began in.
type place struct {
	class WaitClass
	site  Site
}

// totals are sums over all groups of a survey.
type totals struct {
	at              map[place]int
	handlers, reads int // of net/http: handlers that run, and reads in the background beside them
}

func (t *groupTracker) totalsOf(s *Survey) totals {
	all := totals{at: make(map[place]int, len(s.Groups))}
	for i := range s.Groups {
		g := &s.Groups[i]
		all.at[place{g.Class, g.Site}] += g.Count
		switch {
		case isBackgroundRead(g):
			all.reads += g.Count
		case isHTTP1Handler(g) && !t.isSession(g):
			all.handlers += g.Count
		}
	}
	return all
}

// isSession reports whether handlers read from their connections, or have
// relatives that do or that work: they have taken the connections over from the server.
func (t *groupTracker) isSession(g *Group) bool {
	if g.Class == IO {
		return true
	}
	w := t.tracks[g.Key].watch
	return w != nil && (w.facts.reader || w.facts.sibling != nil)
}

// crowd is how many old members make requests stuck: minGrowth, of all groups that
// wait at the same place together.
func (t *groupTracker) crowd(g *Group) int {
	others := t.totals.at[place{g.Class, g.Site}] - g.Count
	return max(minCohort, t.rules.minGrowth-others)
}

// abandoned returns how many handlers of net/http run on although their clients have
// left: the server reads in the background while a handler runs, and that read ends
// with the connection.
func (t *groupTracker) abandoned() int { return max(0, t.totals.handlers-t.totals.reads) }

func isBackgroundRead(g *Group) bool {
	return hasAnyPrefix(g.Entry, "net/http.(*connReader).backgroundRead", "net/http.(*connReader).startBackgroundRead")
}

func isHTTP1Handler(g *Group) bool {
	return hasAnyPrefix(g.Entry, "net/http.(*conn).serve", "net/http.(*Server).Serve.gowrap") && handlesRequest(g)
}
