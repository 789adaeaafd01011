// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// look is how signals see one snapshot.
type look struct {
	snapshot *runtimeinfo.Snapshot
	group    *runtimeinfo.SpanGroup // for signals of a root span
	now      time.Time
	hostPass time.Time // when the host values are from
	fresh    bool      // they are new
	cycles   float64   // of the collector
	cycled   bool      // there was one since the look before

	byKey   map[string]*runtimeinfo.Metric
	metrics []*runtimeinfo.Metric
}

// at moves the look on to a new snapshot.
func (l *look) at(s *runtimeinfo.Snapshot) {
	l.snapshot, l.now = s, s.Time
	if all := s.Metrics(); len(all) != len(l.metrics) || len(all) > 0 && all[0] != l.metrics[0] {
		l.metrics = all // the catalogue grows with each gauge
		l.byKey = make(map[string]*runtimeinfo.Metric, len(all))
		for _, m := range all {
			l.byKey[m.Key()] = m
		}
	}
	l.fresh = false
	if age := l.number("gmpulse.host.age"); !math.IsNaN(age) {
		// A pass has one moment, whichever tick it is seen from; the same one may
		// come out a little different.
		pass := s.Time.Add(-time.Duration(age * float64(time.Second)))
		l.fresh = pass.Sub(l.hostPass) > 50*time.Millisecond
		if l.fresh {
			l.hostPass = pass
		}
	}
	cycles := l.number("go.memory.gc.cycles")
	l.cycled = cycles > l.cycles
	l.cycles = cycles
}

// number returns the value of a metric, NaN where it is absent.
func (l *look) number(key string) float64 {
	if m := l.byKey[key]; m != nil {
		if v, ok := l.snapshot.Value(m); ok {
			return v
		}
	}
	return math.NaN()
}

// lateness is that of the pulses, of which there are eleven a second: one wake-up a tick
// may well fall between two stops of a process that is stopped again and again.
func lateness(l *look) float64 {
	if v := l.number("gmpulse.pulse.lateness.mean"); !math.IsNaN(v) {
		return v
	}
	return l.number("gmpulse.tick.lateness") // ticks as often as pulses
}

func number(key string) read {
	return func(l *look) float64 { return l.number(key) }
}

// rate is what a counter gains a second. A counter that falls has been reset: it
// has no rate then.
func rate(key string) read {
	last, at := math.NaN(), time.Time{}
	return func(l *look) float64 {
		v, now := l.number(key), l.now
		passed := now.Sub(at).Seconds()
		gained := v - last
		last, at = v, now
		if math.IsNaN(gained) || gained < 0 || passed <= 0 {
			return math.NaN()
		}
		return gained / passed
	}
}

// userNumber is the value of any metric, or the rate of a counter.
func userNumber(key string) read {
	perSecond := rate(key)
	return func(l *look) float64 {
		if m := l.byKey[key]; m != nil && m.Kind == runtimeinfo.KindCounter {
			return perSecond(l)
		}
		return l.number(key)
	}
}

// perHostPass asks only when the host values are new: else a signal that moves
// every ten seconds would be ten equal ones.
func perHostPass(f read) read {
	return func(l *look) float64 {
		if !l.fresh {
			return math.NaN()
		}
		return f(l)
	}
}

// perCycle asks only when a collection has ended.
func perCycle(f read) read {
	return func(l *look) float64 {
		if !l.cycled {
			return math.NaN()
		}
		return f(l)
	}
}

// gcShare is the collector's share of the CPU time of late. The runtime accounts
// for its time when a cycle ends, in lumps: the share of one lump says nothing.
func gcShare() read {
	const fadeTime = 5 * time.Second
	lastTotal, lastGC := math.NaN(), math.NaN()
	var gc, total float64
	var at time.Time
	return func(l *look) float64 {
		allTotal := 0.0
		for _, state := range [...]string{"go.cpu.time.user", "go.cpu.time.gc", "go.cpu.time.scavenge", "go.cpu.time.idle"} {
			allTotal += l.number(state)
		}
		allGC := l.number("gmpulse.gc.cpu") * allTotal
		gained, used := allGC-lastGC, allTotal-lastTotal
		if used == 0 {
			return math.NaN() // no cycle has ended since
		}
		passed := l.now.Sub(at)
		lastTotal, lastGC, at = allTotal, allGC, l.now
		if math.IsNaN(gained) || math.IsNaN(used) || used < 0 || passed <= 0 {
			return math.NaN()
		}
		fade := math.Exp(-float64(passed) / float64(fadeTime))
		gc, total = gc*fade+max(0, gained), total*fade+used
		return gc / total
	}
}

// spanQuantile is a quantile of the root spans that ended in the last tick.
func spanQuantile(q float64) read {
	return func(l *look) float64 {
		d := l.group.TickP50
		if q > 0.5 {
			d = l.group.TickP99
		}
		if d == 0 {
			return math.NaN()
		}
		return d.Seconds()
	}
}

// passed is the time since the look before, zero for the first.
func (l *look) passed(s *runtimeinfo.Snapshot) time.Duration {
	if l.snapshot == nil {
		return 0
	}
	return s.Time.Sub(l.now)
}
