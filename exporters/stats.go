// SPDX-License-Identifier: Apache-2.0

package exporters

import "time"

// State is the result of the last call of an exporter.
type State string

// The states of an exporter.
const (
	StateIdle    State = "idle" // not called yet
	StateOK      State = "ok"
	StateFailing State = "failing"
	StateStopped State = "stopped"
)

// Stats has the delivery statistics of one exporter.
type Stats struct {
	Name  string
	State State
	// Interval is the time between two regular calls of the exporter.
	Interval time.Duration
	// Snapshots and Events are counted separately. A snapshot that a newer one replaced
	// lowers the resolution; an event that is dropped is lost.
	Snapshots, Events Account
	// Errors, Timeouts and Panics count the failed calls.
	Errors, Timeouts, Panics uint64
	LastSuccess              time.Time
	LastDuration             time.Duration
	LastError                string // of the last failed call
	// Spool describes the exporter's own queue. nil if the exporter has none.
	Spool *SpoolStats
}

// SpoolStats describes the queue of an exporter.
type SpoolStats struct {
	// Bytes is the size of the records in the queue.
	Bytes int64
	// OldestAge is the age of the oldest record, 0 if the queue is empty.
	OldestAge time.Duration
	// Unsaved is the number of records in a queue with a directory that are not on disk yet.
	// They are lost if the process is killed.
	Unsaved uint64
	// OnDisk reports whether the queue is on disk and survives the process.
	OnDisk bool
	// DiskError is the reason if the queue has a directory and OnDisk is false.
	DiskError string
}

// Account counts the snapshots or the events of one exporter. A summary of several ticks is one snapshot. At
// any time
//
//	Accepted == Delivered + Pending + Lost()
type Account struct {
	Accepted, Delivered, Pending uint64
	// Recovered is how many of Accepted were left on disk by an earlier process.
	Recovered uint64

	dropped [numDropReasons]uint64
}

// Dropped returns how many were dropped for the given reason.
func (a *Account) Dropped(r DropReason) uint64 { return a.dropped[r] }

// Drop adds n to those dropped for the given reason.
func (a *Account) Drop(r DropReason, n uint64) { a.dropped[r] += n }

// Lost returns how many were dropped for any reason.
func (a *Account) Lost() uint64 {
	var n uint64
	for _, d := range a.dropped {
		n += d
	}
	return n
}

// DropReason is the reason why something was accepted and not delivered.
type DropReason uint8

// The reasons for a drop.
const (
	DropReplaced   DropReason = iota // a newer snapshot replaced it in the mailbox
	DropFailed                       // the call of the exporter failed
	DropOverflow                     // the queue was full and this was the oldest
	DropRejected                     // the exporter or the backend rejected it permanently
	DropShutdown                     // it was still pending at the deadline of Stop
	DropExpired                      // it exceeded the maximum age of the spool
	DropUnreadable                   // the spool could not read it
	DropDeadLetter                   // the backend rejected it repeatedly and accepted others
)

const numDropReasons = int(DropDeadLetter) + 1

// DropReasons returns all reasons.
func DropReasons() []DropReason {
	all := make([]DropReason, numDropReasons)
	for i := range all {
		all[i] = DropReason(i)
	}
	return all
}

// String returns the value of the metric attribute "reason".
func (r DropReason) String() string {
	return [numDropReasons]string{"replaced", "failed", "overflow", "rejected", "shutdown", "expired", "unreadable", "dead_letter"}[r]
}
