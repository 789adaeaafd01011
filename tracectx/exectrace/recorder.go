// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/trace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

var (
	// ErrBusy means that other code has started the flight recorder of the process.
	ErrBusy = errors.New("exectrace: the flight recorder is in use")

	// ErrTooMany means that the number of goroutines, bytes or events exceeds a limit
	// of [Config], or that a recording might exceed the memory limit of the process
	// (GOMEMLIMIT) or of its container.
	ErrTooMany = errors.New("exectrace: a limit of the recorder is exceeded")

	// ErrFormat means that golang.org/x/exp/trace cannot read a trace: it does not
	// support the Go version, or the trace is damaged.
	ErrFormat = errors.New("exectrace: the trace cannot be read")
)

// Recorder owns the flight recorder of the process. Create one per process with
// [New]. All methods may be called concurrently; it makes and reads one recording at a
// time.
type Recorder struct {
	config Config

	// lock guards the following, up to estimate. It holds one element while locked:
	// a mutex whose waiters honour a context. A FlightRecorder has fields that it
	// does not lock, so all calls of its methods hold the lock.
	lock      chan struct{}
	flight    *trace.FlightRecorder // nil: not recording
	users     int                   // of flight: calls of Record, and Run while runningSince is not 0
	formatErr error                 // recordings of this process cannot be read
	estimate  estimate

	runningSince atomic.Int64 // when Run began to record, in Unix nanoseconds; 0: it does not
	window       atomic.Pointer[Window]
	notify       atomic.Pointer[func(runtimeinfo.Event, []byte)]
	slow         slowSpans
	events       chan runtimeinfo.Event // of slow spans since the last Analyze

	statsMu sync.Mutex
	stats   counts
	totals  roots // of all windows; only Self is used
	failing bool  // the last attempt failed
}

// New returns a Recorder that does not record yet. The error names every invalid field
// of config.
func New(config Config) (*Recorder, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Recorder{
		config: config,
		lock:   make(chan struct{}, 1),
		slow:   newSlowSpans(config),
		events: make(chan runtimeinfo.Event, maxSlowEvents),
		totals: roots{},
	}, nil
}

// counts has the numbers of recordings since [New], by outcome.
type counts struct {
	Recordings uint64 // made and read
	Busy       uint64 // not made: the flight recorder was in use, see ErrBusy
	TooMany    uint64 // not made or not read, see ErrTooMany
	Unreadable uint64 // not read, see ErrFormat
	StepsBack  uint64 // pauses of Run because of the cost, see [Config.MaxShare]
	Slow       uint64 // slow spans that were analyzed
	SlowMissed uint64 // slow spans that the recording did not contain
}

// inc increments a field of r.stats.
func (r *Recorder) inc(count *uint64) {
	r.statsMu.Lock()
	defer r.statsMu.Unlock()
	*count++
}

// acquire locks r. It returns the cause of ctx if ctx is done first.
func (r *Recorder) acquire(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case r.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *Recorder) release() { <-r.lock }

// snapshot returns what the flight recorder contains. If it is off, snapshot starts it
// for the few milliseconds that a snapshot takes. The caller holds the lock.
func (r *Recorder) snapshot(ctx context.Context) ([]byte, error) {
	b := limitedBuffer{limit: r.config.MaxBytes}
	if r.formatErr != nil {
		return nil, r.formatErr
	}
	if err := r.writeTo(&b, r.config.MaxGoroutines); err != nil {
		return nil, err
	}
	if r.formatErr = checkFormat(bytes.NewReader(b.bytes)); r.formatErr != nil {
		return nil, r.formatErr
	}
	return b.bytes, ctx.Err()
}

// writeTo writes a snapshot unless there are too many goroutines.
func (r *Recorder) writeTo(w io.Writer, maxGoroutines int) error {
	if err := checkGoroutines(maxGoroutines); err != nil {
		return err
	}
	flight := r.flight
	if flight == nil {
		var err error
		if flight, err = r.start(time.Second); err != nil {
			return err
		}
		defer flight.Stop()
	}
	if _, err := flight.WriteTo(w); err != nil {
		return fmt.Errorf("exectrace: record: %w", err)
	}
	return nil
}

func checkGoroutines(limit int) error {
	if n := runtime.NumGoroutine(); n > limit {
		return fmt.Errorf("%w: %d goroutines, the limit is %d", ErrTooMany, n, limit)
	}
	return nil
}

// start starts a flight recorder that keeps events of at least the given age. The
// runtime treats the number of bytes as a hint, which it exceeds by up to a second's
// worth of events.
func (r *Recorder) start(age time.Duration) (*trace.FlightRecorder, error) {
	f := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: age, MaxBytes: uint64(max(1, r.config.MaxBytes/2))})
	if err := f.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return f, nil
}

// WriteTrace writes an execution trace that "go tool trace" opens. If the Recorder is
// recording, the trace contains what it has recorded; otherwise it covers a few
// milliseconds and contains every goroutine with its stack. The trace is not read here, so
// WriteTrace accepts ten times [Config.MaxGoroutines] and any number of bytes.
//
// The error is [ErrBusy], [ErrTooMany], an error of w, or the cause of ctx.
func (r *Recorder) WriteTrace(ctx context.Context, w io.Writer) error {
	if err := r.acquire(ctx); err != nil {
		return err
	}
	defer r.release()
	return r.count(r.writeTo(w, 10*r.config.MaxGoroutines))
}

// count counts an attempt to record by its error, which it returns. It logs the first
// failure and the first success after failures.
func (r *Recorder) count(err error) error {
	r.statsMu.Lock()
	defer r.statsMu.Unlock()
	switch {
	case err == nil:
		r.stats.Recordings++
		if r.failing {
			r.failing = false
			r.config.Logger.Info("gmpulse: execution traces work again")
		}
		return nil
	case errors.Is(err, ErrBusy):
		r.stats.Busy++
	case errors.Is(err, ErrTooMany):
		r.stats.TooMany++
	case errors.Is(err, ErrFormat):
		r.stats.Unreadable++
	default: // the caller's context or writer
		return err
	}
	if !r.failing {
		r.failing = true
		r.config.Logger.Warn("gmpulse: cannot record or read execution traces", slog.Any("error", err))
	}
	return err
}

// A limitedBuffer is a buffer of limited size.
type limitedBuffer struct {
	bytes []byte
	limit int
}

// Write appends all of p or nothing.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(b.bytes)+len(p) > b.limit {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooMany, b.limit)
	}
	b.bytes = append(b.bytes, p...)
	return len(p), nil
}
