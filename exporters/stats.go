// SPDX-License-Identifier: Apache-2.0

package exporters

import "time"

// State is how the last call of an exporter ended.
type State string

// The states of an exporter.
const (
	StateIdle    State = "idle" // not called yet
	StateOK      State = "ok"
	StateFailing State = "failing"
	StateStopped State = "stopped"
)

// Stats is the account of one exporter.
type Stats struct {
	Name  string
	State State
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
