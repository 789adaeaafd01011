// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// input is a snapshot with what the signals need to read their values from it.
type input struct {
	snapshot *runtimeinfo.Snapshot
	group    *runtimeinfo.SpanGroup // for signals of a root span
	now      time.Time
	hostPass time.Time // time of the host values
	newHost  bool      // the host values are new
	cycles   float64   // GC cycles
	newCycle bool      // a GC cycle has ended since the last snapshot

	byKey   map[string]*runtimeinfo.Metric
	metrics []*runtimeinfo.Metric
}

// next sets the snapshot and returns the time since the previous one, 0 for the first.
func (in *input) next(s *runtimeinfo.Snapshot) (passed time.Duration) {
	if in.snapshot != nil {
		passed = s.Time.Sub(in.now)
	}
	in.snapshot, in.now = s, s.Time
	if all := s.Metrics(); len(all) != len(in.metrics) || len(all) > 0 && all[0] != in.metrics[0] {
		in.metrics = all // each gauge of the application extends the catalogue
		in.byKey = make(map[string]*runtimeinfo.Metric, len(all))
		for _, m := range all {
			in.byKey[m.Key()] = m
		}
	}
	in.newHost = false
	if age := in.number("gmpulse.host.age"); !math.IsNaN(age) {
		// The time of one host pass, computed at different ticks, varies slightly.
		pass := s.Time.Add(-time.Duration(age * float64(time.Second)))
		if in.newHost = pass.Sub(in.hostPass) > 50*time.Millisecond; in.newHost {
			in.hostPass = pass
		}
	}
	cycles := in.number("go.memory.gc.cycles")
	in.newCycle = cycles > in.cycles
	in.cycles = cycles
	return passed
}

// number returns the value of a metric, NaN if absent.
func (in *input) number(key string) float64 {
	if v, ok := in.snapshot.Number(key); ok {
		return v
	}
	return math.NaN()
}

// lateness prefers the pulses, of which there are eleven a second: the wake-up of a single
// tick may fall between two stops of a process that is stopped repeatedly.
func lateness(in *input) float64 {
	if v := in.number("gmpulse.pulse.lateness.mean"); !math.IsNaN(v) {
		return v
	}
	return in.number("gmpulse.tick.lateness")
}

func number(key string) readFunc {
	return func(in *input) float64 { return in.number(key) }
}

// rate is a counter's increase per second, NaN after a reset.
func rate(key string) readFunc {
	last, at := math.NaN(), time.Time{}
	return func(in *input) float64 {
		v, now := in.number(key), in.now
		passed := now.Sub(at).Seconds()
		gained := v - last
		last, at = v, now
		if math.IsNaN(gained) || gained < 0 || passed <= 0 {
			return math.NaN()
		}
		return gained / passed
	}
}

// numberOrRate is the value of any metric, or the rate of a counter.
func numberOrRate(key string) readFunc {
	perSecond := rate(key)
	return func(in *input) float64 {
		if m := in.byKey[key]; m != nil && m.Kind == runtimeinfo.KindCounter {
			return perSecond(in)
		}
		return in.number(key)
	}
}

// perHostPass reads only new host values: otherwise a value that changes every ten seconds
// would count as ten equal samples.
func perHostPass(f readFunc) readFunc {
	return func(in *input) float64 {
		if !in.newHost {
			return math.NaN()
		}
		return f(in)
	}
}

// perCycle reads only after a GC cycle.
func perCycle(f readFunc) readFunc {
	return func(in *input) float64 {
		if !in.newCycle {
			return math.NaN()
		}
		return f(in)
	}
}

// gcShare is the garbage collector's share of the CPU time, averaged over some seconds: the
// runtime updates its CPU classes at the end of a cycle, so a single cycle says little.
func gcShare() readFunc {
	const fadeTime = 5 * time.Second
	lastTotal, lastGC := math.NaN(), math.NaN()
	var gc, total float64
	var at time.Time
	return func(in *input) float64 {
		allTotal := 0.0
		for _, state := range [...]string{"go.cpu.time.user", "go.cpu.time.gc", "go.cpu.time.scavenge", "go.cpu.time.idle"} {
			allTotal += in.number(state)
		}
		allGC := in.number("gmpulse.gc.cpu") * allTotal
		gained, used := allGC-lastGC, allTotal-lastTotal
		if used == 0 {
			return math.NaN() // no cycle has ended
		}
		passed := in.now.Sub(at)
		lastTotal, lastGC, at = allTotal, allGC, in.now
		if math.IsNaN(gained) || math.IsNaN(used) || used < 0 || passed <= 0 {
			return math.NaN()
		}
		fade := math.Exp(-float64(passed) / float64(fadeTime))
		gc, total = gc*fade+max(0, gained), total*fade+used
		return gc / total
	}
}

// spanQuantile is a quantile of the durations of the root spans that ended in the last tick.
func spanQuantile(q float64) readFunc {
	return func(in *input) float64 {
		d := in.group.TickP50
		if q > 0.5 {
			d = in.group.TickP99
		}
		if d == 0 {
			return math.NaN()
		}
		return d.Seconds()
	}
}

// residentShare is the resident memory as a share of the lowest limit.
func residentShare(in *input) float64 {
	limit := in.number("system.memory.limit")
	for _, key := range [...]string{"gmpulse.cgroup.memory.max", "go.memory.limit"} {
		if v := in.number(key); !math.IsNaN(v) && !(v > limit) {
			limit = v
		}
	}
	return in.number("process.memory.usage") / limit
}
