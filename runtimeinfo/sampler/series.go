// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"math"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func signalKey() []string { return []string{"signal"} }

// perBand makes a series of the bands.
func perBand(f func(*runtimeinfo.Band, *emitter)) *source {
	return &source{series: func(t *Tick, to *emitter) {
		for i := range t.bands {
			f(&t.bands[i], to)
		}
	}}
}

func expectedBounds(b *runtimeinfo.Band, to *emitter) {
	if b.Learning {
		return
	}
	to.add(b.Lower, b.Signal, "lower")
	to.add(b.Expected, b.Signal, "expected")
	to.add(b.Upper, b.Signal, "upper")
}

// capacity makes a source of one number of the estimate.
func capacity(f func(*runtimeinfo.Capacity) float64) *source {
	return computed(func(r *reading) float64 {
		if r.tick.Capacity == nil {
			return math.NaN()
		}
		return f(r.tick.Capacity)
	})
}

// capacityState publishes 1 for the state that holds and 0 for the others, so
// that each is one unbroken line.
func capacityState(t *Tick, to *emitter) {
	if t.Capacity == nil {
		return
	}
	for _, s := range []runtimeinfo.CapacityState{runtimeinfo.CapacityLearning, runtimeinfo.CapacityKnown, runtimeinfo.CapacityUncertain, runtimeinfo.CapacityWaiting} {
		v := 0.0
		if s == t.Capacity.State {
			v = 1
		}
		to.add(v, string(s))
	}
}

func captures(t *Tick, to *emitter) {
	if c := t.Self.Captures; c != nil {
		to.add(float64(c.Made), "made")
		to.add(float64(c.Failed), "failed")
		to.add(float64(c.Skipped), "skipped")
		to.add(float64(c.Refused), "refused")
	}
}

const (
	recordSnapshot = "snapshot"
	recordEvent    = "event"
)

func exporterRecord() []string { return []string{"exporter", "record"} }

// self makes a source of one number in the agent's own report.
func self(f func(*runtimeinfo.Self) float64) *source {
	return computed(func(r *reading) float64 { return f(&r.tick.Self) })
}

// seconds returns d in seconds, absent when negative.
func seconds(d time.Duration) float64 {
	if d < 0 {
		return math.NaN()
	}
	return d.Seconds()
}

// perRecord makes a series of one number in each exporter's two accounts.
func perRecord(f func(*runtimeinfo.Account) uint64) *source {
	return &source{series: func(t *Tick, to *emitter) {
		for i := range t.Self.Exporters {
			e := &t.Self.Exporters[i]
			to.add(float64(f(&e.Snapshots)), e.Name, recordSnapshot)
			to.add(float64(f(&e.Events)), e.Name, recordEvent)
		}
	}}
}

func exporterDrops(t *Tick, to *emitter) {
	for i := range t.Self.Exporters {
		e := &t.Self.Exporters[i]
		for _, r := range snapshotDrops(e) {
			to.add(float64(e.Snapshots.Dropped[r]), e.Name, recordSnapshot, r.String())
		}
		for _, r := range eventDrops(e) {
			to.add(float64(e.Events.Dropped[r]), e.Name, recordEvent, r.String())
		}
	}
}

// snapshotDrops and eventDrops are the reasons there can be: a series that is
// there from the start, at zero, is what rates need.
func snapshotDrops(e *runtimeinfo.ExporterStats) []runtimeinfo.DropReason {
	if e.Spool != nil {
		return []runtimeinfo.DropReason{runtimeinfo.DropReplaced, runtimeinfo.DropFailed, runtimeinfo.DropOverflow, runtimeinfo.DropRejected, runtimeinfo.DropShutdown, runtimeinfo.DropExpired, runtimeinfo.DropUnreadable, runtimeinfo.DropDeadLetter}
	}
	return []runtimeinfo.DropReason{runtimeinfo.DropReplaced, runtimeinfo.DropFailed, runtimeinfo.DropRejected, runtimeinfo.DropShutdown}
}

func eventDrops(e *runtimeinfo.ExporterStats) []runtimeinfo.DropReason {
	if e.Spool != nil {
		return []runtimeinfo.DropReason{runtimeinfo.DropOverflow, runtimeinfo.DropRejected, runtimeinfo.DropShutdown, runtimeinfo.DropExpired, runtimeinfo.DropUnreadable, runtimeinfo.DropDeadLetter}
	}
	return []runtimeinfo.DropReason{runtimeinfo.DropOverflow, runtimeinfo.DropRejected, runtimeinfo.DropShutdown}
}

// spools makes a series of one number for each exporter with a spool.
func spools(f func(*runtimeinfo.SpoolStats) float64) *source {
	return &source{series: func(t *Tick, to *emitter) {
		for i := range t.Self.Exporters {
			if e := &t.Self.Exporters[i]; e.Spool != nil {
				to.add(f(e.Spool), e.Name)
			}
		}
	}}
}

func spoolOnDisk(s *runtimeinfo.SpoolStats) float64 {
	if s.OnDisk {
		return 1
	}
	return 0
}

func exporterFailures(t *Tick, to *emitter) {
	for i := range t.Self.Exporters {
		e := &t.Self.Exporters[i]
		to.add(float64(e.Errors), e.Name, "error")
		to.add(float64(e.Timeouts), e.Name, "timeout")
		to.add(float64(e.Panics), e.Name, "panic")
	}
}

func exporterUp(t *Tick, to *emitter) {
	for i := range t.Self.Exporters {
		switch e := &t.Self.Exporters[i]; e.State {
		case runtimeinfo.ExporterOK:
			to.add(1, e.Name)
		case runtimeinfo.ExporterFailing:
			to.add(0, e.Name)
		case runtimeinfo.ExporterIdle, runtimeinfo.ExporterStopped: // nothing is known: absent
		}
	}
}

// spans makes a source of one number of the span source.
func spans(f func(*runtimeinfo.SpanActivity) uint64) *source {
	return computed(func(r *reading) float64 {
		if r.tick.Spans == nil {
			return math.NaN()
		}
		return float64(f(r.tick.Spans))
	})
}

func activeSpans(t *Tick, to *emitter) {
	if t.Spans == nil {
		return
	}
	for _, g := range t.Spans.Groups {
		to.add(float64(g.Active), g.Name)
	}
}

func oldestSpans(t *Tick, to *emitter) {
	if t.Spans == nil {
		return
	}
	for _, g := range t.Spans.Groups {
		if g.Active == 0 {
			continue
		}
		to.add(max(0, t.Time.Sub(g.Oldest).Seconds()), g.Name)
	}
}

func exactTimes(t *Tick, to *emitter) {
	if t.Spans == nil || t.Spans.Exact == nil {
		return
	}
	for _, e := range t.Spans.Exact.Times {
		to.add(e.Time.Seconds(), e.Root, e.State)
	}
}

func recordings(t *Tick, to *emitter) {
	if t.Spans == nil || t.Spans.Exact == nil {
		return
	}
	e := t.Spans.Exact
	to.add(float64(e.Read), "read")
	to.add(float64(e.Busy), "busy")
	to.add(float64(e.TooMany), "too_many")
	to.add(float64(e.Unreadable), "unreadable")
	to.add(float64(e.StepsBack), "stepped_back")
}

func slowSpans(t *Tick, to *emitter) {
	if t.Spans == nil || t.Spans.Exact == nil {
		return
	}
	to.add(float64(t.Spans.Exact.Explained), "explained")
	to.add(float64(t.Spans.Exact.Missed), "missed")
}

func findings(f func(*runtimeinfo.Findings) float64) *source {
	return computed(func(r *reading) float64 {
		if r.tick.Findings == nil {
			return math.NaN()
		}
		return f(r.tick.Findings)
	})
}

func goroutineGroups(t *Tick, to *emitter) {
	if t.Findings == nil {
		return
	}
	for i := range t.Findings.Groups {
		g := &t.Findings.Groups[i]
		to.add(float64(g.Goroutines), g.Wait, g.Site, g.Entry, g.Verdict)
	}
}
