// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"math"
	"time"
)

// Self is what the agent reports of itself.
type Self struct {
	Ticks       uint64
	TicksMissed uint64
	// TickDuration is how long the previous tick took.
	TickDuration time.Duration
	// HostDuration and HostAge are of the last host pass; negative before the first.
	HostDuration, HostAge time.Duration
	HostFailures          uint64
	GaugeFailures         uint64
	Exporters             []ExporterStats
	// Captures is nil where no evidence is kept.
	Captures *CaptureStats
}

// CaptureStats counts bundles of evidence, cumulative.
type CaptureStats struct {
	// Made were kept, Failed could not be, Skipped were not because of a bound.
	Made, Failed, Skipped uint64
	// Refused are bundles, and profiles within bundles, that were not taken because
	// the memory was short.
	Refused uint64
}

func captures(t *Tick, to *emitter) {
	if c := t.Self.Captures; c != nil {
		to.add(float64(c.Made), "made")
		to.add(float64(c.Failed), "failed")
		to.add(float64(c.Skipped), "skipped")
		to.add(float64(c.Refused), "refused")
	}
}

// ExporterState is how the last call of an exporter ended.
type ExporterState string

// The states of an exporter.
const (
	ExporterIdle    ExporterState = "idle" // not called yet
	ExporterOK      ExporterState = "ok"
	ExporterFailing ExporterState = "failing"
	ExporterStopped ExporterState = "stopped"
)

// ExporterStats is the account of one exporter.
type ExporterStats struct {
	Name  string
	State ExporterState
	// Snapshots and Events are accounted for apart: a snapshot that a newer one
	// replaced loses resolution, a lost event is lost.
	Snapshots, Events Account
	// Failed calls, by how they failed.
	Errors, Timeouts, Panics uint64
	LastSuccess              time.Time
	LastDuration             time.Duration
	LastError                string // of the last failed call
	// Spool is what waits in the exporter's own queue; nil where it has none.
	Spool *SpoolStats
}

// SpoolStats is the state of a queue between the agent and a backend.
type SpoolStats struct {
	// Bytes are those of the records that wait.
	Bytes int64
	// OldestAge is how long the oldest one has waited; zero when none waits.
	OldestAge time.Duration
	// Unsaved is how many records that were to be on disk are in memory only: what a
	// process that is killed now loses. Zero without a directory.
	Unsaved uint64
	// OnDisk tells that what waits survives the process. DiskError is why not,
	// where a directory is set; empty without one.
	OnDisk    bool
	DiskError string
}

// Account is a balance that holds at every moment:
//
//	Accepted == Delivered + the sum of Dropped + Pending
type Account struct {
	Accepted, Delivered, Pending uint64
	Dropped                      [NumDropReasons]uint64
	// Recovered are those of Accepted that an earlier process left on disk.
	Recovered uint64
}

// Lost returns the sum of Dropped.
func (a *Account) Lost() uint64 {
	var n uint64
	for _, d := range a.Dropped {
		n += d
	}
	return n
}

// DropReason says why something accepted was not delivered.
type DropReason uint8

// The reasons for a drop.
const (
	DropReplaced   DropReason = iota // a newer snapshot took its place in the mailbox
	DropFailed                       // the exporter's call failed
	DropOverflow                     // too many waited: the oldest gave way
	DropRejected                     // the exporter refused it for good: too large, for example
	DropShutdown                     // still waiting when the agent's time to stop was over
	DropExpired                      // waited longer than a spool keeps it
	DropUnreadable                   // a spool could not read it back
	DropDeadLetter                   // refused again and again, while others were taken

	NumDropReasons int = iota
)

// String returns the reason as the metrics label has it.
func (r DropReason) String() string {
	return [NumDropReasons]string{"replaced", "failed", "overflow", "rejected", "shutdown", "expired", "unreadable", "dead_letter"}[r]
}

const (
	recordSnapshot = "snapshot"
	recordEvent    = "event"
)

func exporterRecord() []string { return []string{"exporter", "record"} }

// self makes a source of one number in the agent's own report.
func self(f func(*Self) float64) *source {
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
func perRecord(f func(*Account) uint64) *source {
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
func snapshotDrops(e *ExporterStats) []DropReason {
	if e.Spool != nil {
		return []DropReason{DropReplaced, DropFailed, DropOverflow, DropRejected, DropShutdown, DropExpired, DropUnreadable, DropDeadLetter}
	}
	return []DropReason{DropReplaced, DropFailed, DropRejected, DropShutdown}
}

func eventDrops(e *ExporterStats) []DropReason {
	if e.Spool != nil {
		return []DropReason{DropOverflow, DropRejected, DropShutdown, DropExpired, DropUnreadable, DropDeadLetter}
	}
	return []DropReason{DropOverflow, DropRejected, DropShutdown}
}

// spools makes a series of one number for each exporter with a spool.
func spools(f func(*SpoolStats) float64) *source {
	return &source{series: func(t *Tick, to *emitter) {
		for i := range t.Self.Exporters {
			if e := &t.Self.Exporters[i]; e.Spool != nil {
				to.add(f(e.Spool), e.Name)
			}
		}
	}}
}

func spoolOnDisk(s *SpoolStats) float64 {
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
		case ExporterOK:
			to.add(1, e.Name)
		case ExporterFailing:
			to.add(0, e.Name)
		case ExporterIdle, ExporterStopped: // nothing is known: absent
		}
	}
}

// spans makes a source of one number of the span source.
func spans(f func(*SpanActivity) uint64) *source {
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
