// SPDX-License-Identifier: Apache-2.0

// Package exporters defines [Exporter], which delivers snapshots to a backend:
//
//	type Exporter interface {
//		Export(ctx context.Context, s *runtimeinfo.Snapshot) error
//		Shutdown(ctx context.Context) error
//	}
//
// An exporter only encodes and sends. The agent calls each exporter in a separate goroutine,
// with a mailbox for one snapshot and a deadline, and recovers its panics, so that a slow or
// failing exporter delays neither sampling nor other exporters.
//
// [Func] and [Log] are exporters that need only the standard library. Exporters with a client
// library are in packages below this one: prom, fluentd, otlp, jsonl and others. Package spool
// adds a queue and retries to an exporter. Package exporttest tests an implementation.
package exporters

import (
	"context"
	"errors"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Exporter delivers snapshots to one backend.
//
// The agent does not call Export concurrently, and calls Shutdown once, after the last Export.
// Both must return when ctx is done. The snapshot is immutable, and the exporter may keep it.
type Exporter interface {
	// Export delivers s, which is a summary if the exporter is called less often than the agent
	// samples, see [runtimeinfo.Snapshot]. An exporter that is scraped stores the pointer; one that sends
	// returns when the backend has accepted s. If Export returns an error, the agent counts a
	// failure and adds the ticks and events of s to the next snapshot for this exporter.
	Export(ctx context.Context, s *runtimeinfo.Snapshot) error
	// Shutdown releases the resources of the exporter. Export then returns [ErrShutdown].
	Shutdown(ctx context.Context) error
}

// RejectedError is returned by Export if a part of the snapshot can never be delivered, for
// example because it is too large. The agent counts that part as rejected and does not send it
// again. The rest of the snapshot counts as delivered.
type RejectedError struct {
	Events   int   // number of rejected events
	Snapshot bool  // whether the record of the snapshot was rejected
	Err      error // the reason; nil if unknown
}

// Error returns the text of Err, or "rejected" if Err is nil.
func (e *RejectedError) Error() string {
	if e.Err == nil {
		return "rejected"
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *RejectedError) Unwrap() error { return e.Err }

// ErrShutdown is returned by Export after Shutdown.
var ErrShutdown = errors.New("exporter is shut down")

// Func is an Exporter that calls a function.
type Func func(ctx context.Context, s *runtimeinfo.Snapshot) error

var _ Exporter = Func(nil)

// Export calls f.
func (f Func) Export(ctx context.Context, s *runtimeinfo.Snapshot) error { return f(ctx, s) }

// Shutdown does nothing.
func (Func) Shutdown(context.Context) error { return nil }
