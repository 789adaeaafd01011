// SPDX-License-Identifier: Apache-2.0

// Package exporters defines what it takes to ship a snapshot somewhere:
//
//	type Exporter interface {
//		Export(ctx context.Context, s *runtimeinfo.Snapshot) error
//		Shutdown(ctx context.Context) error
//	}
//
// An exporter encodes and sends, nothing else: the agent gives each one a
// goroutine of its own, a mailbox, a deadline, and recovers its panics. Package
// exporttest checks an implementation against the contract. The exporters in
// this package, [Func] and [Log], need nothing but the standard library; those
// with a client library have a package each below this one.
package exporters

import (
	"context"
	"errors"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Exporter ships snapshots to one place.
//
// The agent calls Export from one goroutine, one call at a time, and calls
// Shutdown once, after the last Export. Both return when ctx is done at the
// latest. The snapshot is immutable and may be kept.
type Exporter interface {
	// Export ships s. Pull exporters keep the pointer, push exporters return
	// when s was handed over. An error makes the agent count a failure and hand
	// the events of s over again together with the next snapshot's.
	Export(ctx context.Context, s *runtimeinfo.Snapshot) error
	// Shutdown releases what the exporter holds. Afterwards Export returns
	// [ErrShutdown].
	Shutdown(ctx context.Context) error
}

// RejectedError is what Export returns when all that was not delivered can never
// be: too large, or impossible to encode. The agent counts it and does not hand
// it over again; everything else in the snapshot counts as delivered.
type RejectedError struct {
	Events   int   // how many of the snapshot's events
	Snapshot bool  // the record of the snapshot itself
	Err      error // why; nil where that is not known
}

// Error is the text of Err, or "rejected" without one.
func (e *RejectedError) Error() string {
	if e.Err == nil {
		return "rejected"
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *RejectedError) Unwrap() error { return e.Err }

// ErrShutdown is what Export returns after Shutdown.
var ErrShutdown = errors.New("exporter is shut down")

// Func makes an Exporter of a function. Its Shutdown does nothing.
type Func func(ctx context.Context, s *runtimeinfo.Snapshot) error

var _ Exporter = Func(nil)

// Export calls f.
func (f Func) Export(ctx context.Context, s *runtimeinfo.Snapshot) error { return f(ctx, s) }

// Shutdown does nothing.
func (Func) Shutdown(context.Context) error { return nil }
