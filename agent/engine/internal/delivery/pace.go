// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"hash/fnv"
	"time"
)

// Pace determines how often an exporter is called. The zero value calls it for every snapshot.
type Pace struct {
	// Interval is the time between two regular calls. If it is not longer than Tick, there is a call
	// for every snapshot.
	Interval time.Duration
	// Tick is the time between two snapshots.
	Tick time.Duration
	// Phase is the time from the first snapshot to the first regular call, less than Interval.
	Phase time.Duration
}

// PhaseOf returns the phase of an exporter: a whole number of ticks below interval, evenly distributed over
// the instances of a service. Instances that start at the same time then call their backend at
// different times.
func PhaseOf(interval, tick time.Duration, instance, exporter string) time.Duration {
	if tick <= 0 || interval <= tick {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(instance + "\x00" + exporter)) // never fails, by its documentation
	// The upper half of the hash depends on all characters, the lower bits do not.
	return time.Duration((h.Sum64()>>32)%uint64(interval/tick)) * tick
}

// The limits of the time from a call before the end of an interval, because of an event, to the next one.
const (
	minEarlyGap = time.Second
	maxEarlyGap = 10 * time.Second
)

// schedule decides at which snapshots the exporter is called. It uses monotonic time, because the wall
// clock may jump.
//
// Regular calls are due at the times first + Phase + n*Interval, whatever happens in between. An event that
// the instances of a service have in common therefore does not synchronize their later calls.
//
// A snapshot with events is due at once. The next one before the end of the interval is due after a second,
// and the gap doubles up to ten seconds while events go on, so that an exporter with an interval of ten
// seconds is called at most twice per interval in the long run. After a failed call the gap is ten
// seconds. No gap is longer than the interval.
type schedule struct {
	pace  Pace
	due   time.Time     // the next regular call; zero before the first snapshot
	early time.Time     // events may end an interval from then on
	gap   time.Duration // the last gap
}

// take reports whether the exporter is to be called with a snapshot of the time now. events reports whether
// events wait for the exporter.
func (s *schedule) take(now time.Time, events bool) bool {
	if s.pace.Interval <= s.pace.Tick {
		return true
	}
	if s.due.IsZero() {
		s.due = now.Add(s.pace.Phase)
	}
	at := now.Add(s.pace.Tick / 2) // a tick that is a little early or late counts as punctual
	if late := at.Sub(s.due); late >= 0 {
		s.due = s.due.Add(late - late%s.pace.Interval + s.pace.Interval)
		return true
	}
	if !events || at.Before(s.early) {
		return false
	}
	if at.Sub(s.early) >= s.gap {
		s.gap = 0 // there was no event for as long
	}
	s.gap = min(max(2*s.gap, minEarlyGap), s.maxGap())
	s.early = now.Add(s.gap)
	return true
}

// failed postpones the calls for events after a failed call.
func (s *schedule) failed(now time.Time) {
	if next := now.Add(s.maxGap()); next.After(s.early) {
		s.early = next
	}
}

func (s *schedule) maxGap() time.Duration { return min(s.pace.Interval, maxEarlyGap) }
