// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "time"

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
