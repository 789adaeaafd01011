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
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

var (
	// ErrBusy is the error of a recording that was not made because somebody else
	// holds the flight recorder of the process.
	ErrBusy = errors.New("exectrace: somebody else holds the flight recorder")

	// ErrTooMany is the error of a recording that was not made, or not read,
	// because there are more goroutines, bytes or events than [Config] allows.
	ErrTooMany = errors.New("exectrace: too much to look at")

	// ErrMemory is the error of a recording that was not made because it might
	// exceed the memory limit of the process (GOMEMLIMIT).
	ErrMemory = errors.New("exectrace: not enough memory below the limit")

	// ErrFormat is the error of a recording that cannot be read: it is of a Go
	// version that golang.org/x/exp/trace does not know, or damaged.
	ErrFormat = errors.New("exectrace: the recording cannot be read")
)

// Recorder owns the flight recorder of the process. Make one with [New]; a
// process needs no more than one. All methods may be called concurrently; one
// recording is made and read at a time.
type Recorder struct {
	config Config

	// turn holds one element while somebody uses what follows; capacity 1: a lock
	// that can be waited for with a context. The runtime's recorder keeps its
	// state in fields without a lock, so all four of its methods are called here.
	turn   chan struct{}
	flight *trace.FlightRecorder // nil: off
	users  int                   // of flight: running calls of Record, and Run
	runs   bool                  // Run is one of the users
	alien  error                 // why no recording of this process can be read
	pace   pace

	since  atomic.Int64 // when flight started, in Unix nanoseconds; 0: off
	window atomic.Pointer[Window]
	exact  exact
	notify atomic.Pointer[func(runtimeinfo.Event, []byte)]
	slow   slowSpans

	counts struct{ recordings, busy, tooMany, noMemory, unreadable, stepsBack, slow, slowMissed atomic.Uint64 }
	broken atomic.Bool // recordings fail: said already
}

// New returns a Recorder that records nothing yet. The error names every field of
// config that makes no sense.
func New(config Config) (*Recorder, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Recorder{
		config: config,
		turn:   make(chan struct{}, 1),
		slow:   newSlowSpans(config),
	}, nil
}

// Stats is a Recorder's account of itself. The counts are cumulative.
type Stats struct {
	// Recordings were made and read.
	Recordings uint64
	// Busy were not made because somebody else held the recorder, TooMany not made
	// or not read because there was more than [Config] allows, Unreadable could
	// not be read. NoMemory were not made because of the memory limit.
	Busy, TooMany, NoMemory, Unreadable uint64
	// StepsBack is how often recording was stopped because it cost too much.
	StepsBack uint64
	// Slow spans were looked into, SlowMissed were too, and not found in the
	// recording.
	Slow, SlowMissed uint64
}

// Stats returns the account.
func (r *Recorder) Stats() Stats {
	return Stats{
		Recordings: r.counts.recordings.Load(),
		Busy:       r.counts.busy.Load(),
		TooMany:    r.counts.tooMany.Load(),
		NoMemory:   r.counts.noMemory.Load(),
		Unreadable: r.counts.unreadable.Load(),
		StepsBack:  r.counts.stepsBack.Load(),
		Slow:       r.counts.slow.Load(),
		SlowMissed: r.counts.slowMissed.Load(),
	}
}

// take waits for the turn.
func (r *Recorder) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *Recorder) release() { <-r.turn }

// record returns a recording of this moment: what the recorder has, where it is
// on, else one of the few milliseconds that it takes. Where its version is not
// known, there never is one again. The turn is the caller's.
func (r *Recorder) record(ctx context.Context) ([]byte, error) {
	b := recording{most: r.config.MaxBytes}
	if r.alien != nil {
		return nil, r.alien
	}
	if err := r.writeTo(&b, r.config.MaxGoroutines); err != nil {
		return nil, err
	}
	if r.alien = known(bytes.NewReader(b.bytes)); r.alien != nil {
		return nil, r.alien
	}
	return b.bytes, ctx.Err()
}

// writeTo writes a recording, if there are not too many goroutines.
func (r *Recorder) writeTo(w io.Writer, mostGoroutines int) error {
	if n := runtime.NumGoroutine(); n > mostGoroutines {
		return fmt.Errorf("%w: %d goroutines, the cap is %d", ErrTooMany, n, mostGoroutines)
	}
	flight := r.flight
	if flight == nil {
		var err error
		if flight, err = r.fly(time.Second); err != nil {
			return err
		}
		defer flight.Stop()
	}
	if _, err := flight.WriteTo(w); err != nil {
		return fmt.Errorf("exectrace: record: %w", err)
	}
	return nil
}

// fly starts a flight recorder that keeps the events of so long. The runtime takes
// the number of bytes for a hint and exceeds it by up to a second's worth.
func (r *Recorder) fly(age time.Duration) (*trace.FlightRecorder, error) {
	f := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: age, MaxBytes: uint64(max(1, r.config.MaxBytes/2))})
	if err := f.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return f, nil
}

// WriteTrace writes an execution trace of this moment that "go tool trace" opens:
// what the recorder has, where it is on, else one of a few milliseconds, which
// still has every goroutine with its stack. It is for evidence that people look
// at: it is not read here, so ten times MaxGoroutines and any number of bytes will do.
//
// The error is [ErrBusy], [ErrTooMany], that of w or that of ctx.
func (r *Recorder) WriteTrace(ctx context.Context, w io.Writer) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.release()
	const patience = 10
	return r.settle(r.writeTo(w, patience*r.config.MaxGoroutines))
}

// settle counts how an attempt ended, and logs when that changes for the worse
// or the better. It returns err.
func (r *Recorder) settle(err error) error {
	switch {
	case err == nil:
		r.counts.recordings.Add(1)
		if r.broken.Swap(false) {
			r.config.Logger.Info("gmpulse: execution traces can be read again")
		}
		return nil
	case errors.Is(err, ErrBusy):
		r.counts.busy.Add(1)
	case errors.Is(err, ErrTooMany):
		r.counts.tooMany.Add(1)
	case errors.Is(err, ErrMemory):
		r.counts.noMemory.Add(1)
	case errors.Is(err, ErrFormat):
		r.counts.unreadable.Add(1)
	default: // a context is no state of ours
		return err
	}
	if !r.broken.Swap(true) {
		r.config.Logger.Warn("gmpulse: no exact data, execution traces cannot be made or read", slog.Any("error", err))
	}
	return err
}

// recording is a buffer with an end.
type recording struct {
	bytes []byte
	most  int
}

// Write takes all of p or nothing.
func (r *recording) Write(p []byte) (int, error) {
	if len(r.bytes)+len(p) > r.most {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooMany, r.most)
	}
	r.bytes = append(r.bytes, p...)
	return len(p), nil
}
