// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// minWindow is the shortest window. Of a shorter one, many requests would be only partly in it.
const minWindow = 900 * time.Millisecond

// window has the values between two host passes.
type window struct {
	end      time.Time
	requests float64 // root spans that ended
	rate     float64 // requests per second
	cpu      float64 // CPU seconds per second
	active   float64 // mean number of root spans in flight, without streams
	usable   float64 // CPUs: the minimum of GOMAXPROCS, affinity and quota
	wait     float64 // seconds per second that threads waited for a CPU; 0 if unknown
	sleeps   float64 // times per second that a thread found nothing to do; 0 if unknown
	cpus     float64 // of the machine
	others   float64 // CPUs of the machine used by others, including the hypervisor; negative if unknown
	mix      mix
	noise    float64 // expected random distance of mix from the true mix
	partial  bool    // some requests were not recorded
	waiting  bool    // requests queued for something other than CPU
	like     float64 // similarity to the present mix, set by history.compare
}

// mark is the cumulative state at a host pass.
type mark struct {
	at               time.Time
	ended, untracked float64
	cpu, wait        float64
	sleeps           float64
	idle, busy       float64 // of the machine; negative if unknown
	kinds            [kinds]uint64
}

// meter turns ticks into windows.
type meter struct {
	inner     func() (active int, ended uint64) // see New
	from      mark                              // the beginning of the current window; zero before the first pass
	pass      time.Time                         // the last host pass
	last      time.Time                         // the previous tick
	lastEnded float64
	active    float64 // sum over the ticks of the window
	ticks     float64
}

// keyEnded is the counter of requests, which is absent without a span source.
const keyEnded = "gmpulse.root_spans.ended"

// tick adds one tick. It returns a window if the tick closes one.
func (m *meter) tick(s *runtimeinfo.Snapshot, procs int) (w window, ok bool) {
	activeInner, endedInner := m.inner()
	ended := sum(s, keyEnded) - float64(endedInner) // spans inside others are not requests
	active := -activeInner
	for i := range s.SpanGroups {
		active += inFlight(&s.SpanGroups[i])
	}
	m.active += float64(max(0, active))
	m.ticks++
	defer func() { m.last, m.lastEnded = s.Time, ended }()

	age, passed := s.Number("gmpulse.host.age")
	pass := s.Time.Add(-time.Duration(max(0, age) * float64(time.Second)))
	if !passed || pass.Sub(m.pass).Abs() <= time.Millisecond { // smaller differences are rounding errors of the age
		return w, false
	}
	m.pass = pass
	to, known := m.mark(s, ended)
	if !known {
		m.from = mark{}
		return w, false
	}
	span := to.at.Sub(m.from.at)
	if !m.from.at.IsZero() && span > 0 && span < minWindow {
		return w, false
	}
	if !m.from.at.IsZero() && m.from.before(&to) {
		w, ok = m.close(&to, span.Seconds()), true
		w.usable = float64(procs)
		if cpus, known := s.Number("gmpulse.cpu.usable"); known {
			w.usable = min(w.usable, cpus)
		}
	}
	m.from, m.active, m.ticks = to, 0, 0
	return w, ok
}

// inFlight counts the active spans that are younger than a minute. An older one is
// a stream or a websocket, which is not in a queue.
func inFlight(g *runtimeinfo.SpanGroup) int {
	const minute = 7 // SpanGroup.Ages from there on are 64 s and more
	n := g.Active
	for _, old := range g.Ages[minute:] {
		n -= old
	}
	return n
}

// mark reads the counters at a new host pass. The spans are interpolated between the ticks before
// and after it.
func (m *meter) mark(s *runtimeinfo.Snapshot, ended float64) (k mark, known bool) {
	_, userKnown := s.Number("process.cpu.time.user")
	_, systemKnown := s.Number("process.cpu.time.system")
	k = mark{
		at:        m.pass,
		ended:     ended,
		untracked: sum(s, "gmpulse.root_spans.untracked"),
		cpu:       sum(s, "process.cpu.time.user", "process.cpu.time.system"),
		wait:      sum(s, "gmpulse.process.runqueue_wait.time"),
		sleeps:    sum(s, "process.context_switches.voluntary"),
		idle:      -1,
		busy:      -1,
	}
	if _, known := s.Number("system.cpu.time.idle"); known {
		k.idle = sum(s, "system.cpu.time.idle", "system.cpu.time.iowait")
		k.busy = sum(s, "system.cpu.time.user", "system.cpu.time.nice", "system.cpu.time.system", "system.cpu.time.interrupt", "system.cpu.time.steal")
	}
	if between := s.Time.Sub(m.last); !m.last.IsZero() && between > 0 {
		share := max(0, float64(k.at.Sub(m.last))/float64(between))
		k.ended = m.lastEnded + share*(ended-m.lastEnded)
	}
	for i := range s.SpanGroups {
		g := &s.SpanGroups[i]
		k.kinds[kind(g.Name)] += g.Ended
	}
	return k, userKnown && systemKnown
}

// sum returns the sum of the values that s has.
func sum(s *runtimeinfo.Snapshot, keys ...string) (total float64) {
	for _, key := range keys {
		v, _ := s.Number(key) // 0 if it is absent
		total += v
	}
	return total
}

// before reports whether a window can begin at k and end at to: time has passed and no counter
// has decreased.
func (k *mark) before(to *mark) bool {
	return to.at.After(k.at) && to.cpu >= k.cpu && to.ended >= k.ended
}

// complete reports whether at least 99 % of the requests of the window were recorded.
func (k *mark) complete(to *mark) bool {
	const missed = 0.01
	return to.untracked-k.untracked <= missed*(to.ended-k.ended)
}

func (m *meter) close(to *mark, seconds float64) window {
	w := window{
		end:      to.at,
		requests: to.ended - m.from.ended,
		rate:     (to.ended - m.from.ended) / seconds,
		cpu:      (to.cpu - m.from.cpu) / seconds,
		active:   m.active / m.ticks,
		wait:     max(0, to.wait-m.from.wait) / seconds,
		sleeps:   max(0, to.sleeps-m.from.sleeps) / seconds,
		partial:  !m.from.complete(to),
		others:   -1,
	}
	if m.from.idle >= 0 && to.idle >= m.from.idle && to.busy >= m.from.busy {
		busy := (to.busy - m.from.busy) / seconds
		w.cpus = busy + (to.idle-m.from.idle)/seconds
		w.others = max(0, busy-w.cpu)
	}
	w.mix, w.noise = mixOf(&m.from.kinds, &to.kinds)
	return w
}
