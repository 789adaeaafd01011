// SPDX-License-Identifier: Apache-2.0

// Package guard stands between the agent and foreign code: a call gets a
// deadline, a panic becomes an error, and how calls end is counted and, where it
// changes, logged.
//
// Foreign code is whatever the application gives: exporters, errors that they return,
// log handlers, gauges, sources of spans. Any method of it may panic, hang, or end its
// goroutine.
package guard

import (
	"errors"
	"log/slog"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Settle closes the account of a call that handed over one snapshot and some
// events: with no error all are delivered, with a [exporters.RejectedError] what
// it names is dropped for good. After any other error it changes nothing and
// returns false: [CountFailure] is then due, and what becomes of the records is
// the caller's business.
func Settle(s *runtimeinfo.ExporterStats, events int, err error) bool {
	var rejected *exporters.RejectedError
	if err != nil && !errors.As(err, &rejected) {
		return false
	}
	if rejected == nil {
		rejected = &exporters.RejectedError{}
	}
	refused := min(max(rejected.Events, 0), events) // foreign code: the account must balance
	s.Events.Dropped[runtimeinfo.DropRejected] += uint64(refused)
	s.Events.Delivered += uint64(events - refused)
	if rejected.Snapshot {
		s.Snapshots.Dropped[runtimeinfo.DropRejected]++
	} else {
		s.Snapshots.Delivered++
	}
	s.State = runtimeinfo.ExporterOK
	s.LastSuccess = time.Now()
	if err != nil {
		CountFailure(s, err)
	}
	return true
}

// CountFailure notes a call that failed, by how it failed.
func CountFailure(s *runtimeinfo.ExporterStats, err error) {
	s.State = runtimeinfo.ExporterFailing
	s.LastError = err.Error()
	var p *PanicError
	switch {
	case errors.As(err, &p):
		s.Panics++
	case errors.Is(err, ErrTimeout):
		s.Timeouts++
	default:
		s.Errors++
	}
}

// LogChange writes one line when an exporter begins to fail and one when it works
// again: was is its state before the call that ended with err.
func LogChange(l *slog.Logger, was runtimeinfo.ExporterState, err error) {
	var p *PanicError
	switch {
	case err == nil && was == runtimeinfo.ExporterFailing:
		l.Info("gmpulse: exporter works again")
	case err == nil || was == runtimeinfo.ExporterFailing:
	case errors.As(err, &p):
		l.Error("gmpulse: exporter panicked", slog.Any("error", err), slog.String("stack", string(p.Stack)))
	default:
		l.Warn("gmpulse: exporter fails", slog.Any("error", err))
	}
}
