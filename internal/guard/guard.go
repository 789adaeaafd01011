// SPDX-License-Identifier: Apache-2.0

// Package guard calls foreign code: it bounds the duration of a call, returns panics as
// errors, counts the outcomes of calls, and logs when the outcome changes.
//
// Foreign code is what the application provides: exporters, the errors that they return,
// log handlers, gauges, span sources. Each of its methods may panic, hang, or call
// runtime.Goexit.
package guard

import (
	"errors"
	"log/slog"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
)

// CountDelivery counts the outcome of an Export of one snapshot with the given number of
// events. Without an error, all are delivered. With an [exporters.RejectedError], the
// records that it names are dropped. After any other error CountDelivery counts nothing
// and returns false: the caller then calls [CountFailure] and keeps or drops the records.
func CountDelivery(s *exporters.Stats, events int, err error) bool {
	var rejected *exporters.RejectedError
	if err != nil && !errors.As(err, &rejected) {
		return false
	}
	if rejected == nil {
		rejected = &exporters.RejectedError{}
	}
	dropped := min(max(rejected.Events, 0), events) // the exporter may return any number
	s.Events.Drop(exporters.DropRejected, uint64(dropped))
	s.Events.Delivered += uint64(events - dropped)
	if rejected.Snapshot {
		s.Snapshots.Drop(exporters.DropRejected, 1)
	} else {
		s.Snapshots.Delivered++
	}
	s.State = exporters.StateOK
	s.LastSuccess = time.Now()
	if err != nil {
		CountFailure(s, err)
	}
	return true
}

// CountFailure counts a failed call as a panic, a timeout or an error.
func CountFailure(s *exporters.Stats, err error) {
	s.State = exporters.StateFailing
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

// LogChange logs one line when an exporter starts to fail and one when it works again.
// was is the state of the exporter before the call that returned err.
func LogChange(l *slog.Logger, was exporters.State, err error) {
	var p *PanicError
	switch {
	case err == nil && was == exporters.StateFailing:
		l.Info("gmpulse: exporter works again")
	case err == nil || was == exporters.StateFailing:
	case errors.As(err, &p):
		l.Error("gmpulse: exporter panicked", slog.Any("error", err), slog.String("stack", string(p.Stack)))
	default:
		l.Warn("gmpulse: exporter fails", slog.Any("error", err))
	}
}
