// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// Record records for the given length and reports, for each goroutine, whether
// it ran, what woke it and where it was created. It starts the flight recorder,
// waits, reads the recording and stops the recorder. If the recorder is on
// already, Record reads what it has recorded, which may begin before the call.
// Record does not affect a trace that the application makes with trace.Start, and
// other methods of r wait for it only while it starts and reads.
//
// The recording is shorter than requested in these cases, but not below 100 ms:
//   - With more than 20,000 goroutines it lasts one second, because the tracer
//     lists every goroutine once a second.
//   - If the last recording had more than 200,000 events a second, the length
//     shrinks to the number of events that 200,000 a second would give.
//   - If, at the rates of the last recording, three quarters of [Config.MaxBytes]
//     or [Config.MaxEvents] would be exceeded, the length shrinks to those.
//   - After recordings that exceeded MaxBytes or MaxEvents it halves, once for
//     each of them in a row.
//
// The runtime also drops the oldest events if all exceed half of MaxBytes.
//
// Record takes about 80 ns of CPU time for each event; 1 µs for each goroutine at
// the start, at the end and once a second; and the time to read the recording.
//
// The error is [ErrBusy], [ErrTooMany] or [ErrFormat]. If ctx is done
// before the recording is complete, it is the cause of ctx.
func (r *Recorder) Record(ctx context.Context, length time.Duration) (*goroutines.Recording, error) {
	if length <= 0 {
		return nil, fmt.Errorf("exectrace: record for %v: the length must be positive", length)
	}
	recording, err := r.record(ctx, length)
	return recording, r.count(err)
}

func (r *Recorder) record(ctx context.Context, length time.Duration) (*goroutines.Recording, error) {
	length, cost, err := r.beginRecord(ctx, length)
	if err != nil {
		return nil, err
	}
	defer r.endRecord(ctx)
	if !sleep(ctx, length) {
		return nil, context.Cause(ctx)
	}
	if err := r.acquire(ctx); err != nil {
		return nil, err
	}
	defer r.release()
	recording, err := r.readGoroutines(ctx)
	r.estimate.update(recording, err)
	if err != nil {
		return nil, err
	}
	recording.CPU += cost
	return recording, nil
}

// beginRecord keeps the flight recorder on until endRecord is called. It returns the
// length to record and the CPU time that the start took.
func (r *Recorder) beginRecord(ctx context.Context, length time.Duration) (_, cost time.Duration, err error) {
	if err := r.acquire(ctx); err != nil {
		return 0, 0, err
	}
	defer r.release()
	if r.formatErr != nil {
		return 0, 0, r.formatErr
	}
	if err := checkGoroutines(r.config.MaxGoroutines); err != nil {
		return 0, 0, err
	}
	n := runtime.NumGoroutine()
	length = r.estimate.length(length, n, &r.config)
	if err := checkMemory(r.estimate.bytes(length, n, &r.config)); err != nil {
		return 0, 0, err
	}
	cost, err = measure(func() error {
		fresh, err := r.addUser(length)
		if err != nil || !fresh {
			return err
		}
		// End the first generation of the trace. At the end of a generation, the runtime
		// records the stacks of the goroutines that did not run in it. Without this, the
		// trace would not show where the goroutines waited that run in the first second.
		if _, err := r.flight.WriteTo(io.Discard); err != nil {
			r.removeUser()
			return fmt.Errorf("exectrace: record: %w", err)
		}
		return nil
	})
	return length, cost, err
}

// endRecord undoes beginRecord, even if ctx is done.
func (r *Recorder) endRecord(ctx context.Context) {
	if r.acquire(context.WithoutCancel(ctx)) != nil {
		return
	}
	defer r.release()
	r.removeUser()
}

// addUser adds a user of the flight recorder, which it starts if it is off. The
// recorder keeps at least the events of the last age. The caller holds the lock.
func (r *Recorder) addUser(age time.Duration) (fresh bool, err error) {
	if r.flight == nil {
		const margin = 30 * time.Second // for a busy machine; the number of bytes is bounded
		if r.config.Mode != Off {
			age = max(age, r.config.For, keep+r.config.SlowerThan) // Run may become a user
		}
		if r.flight, err = r.start(age + margin); err != nil {
			return false, err
		}
		fresh = true
	}
	r.users++
	return fresh, nil
}

// removeUser removes a user of the flight recorder and stops it after the last one.
// The caller holds the lock.
func (r *Recorder) removeUser() {
	if r.users--; r.users == 0 {
		r.flight.Stop()
		r.flight = nil
	}
}

// readGoroutines reads what the flight recorder contains. The caller holds the lock.
func (r *Recorder) readGoroutines(ctx context.Context) (recording *goroutines.Recording, err error) {
	cost, err := measure(func() error {
		recorded, err := r.snapshot(ctx)
		if err != nil {
			return err
		}
		recording, err = readGoroutines(ctx, recorded, r.config.MaxEvents)
		return err
	})
	if err != nil {
		return nil, err
	}
	recording.CPU += cost
	return recording, nil
}

func readGoroutines(ctx context.Context, recorded []byte, maxEvents int) (recording *goroutines.Recording, err error) {
	t := newTracker()
	if err := readEvents(ctx, bytes.NewReader(recorded), maxEvents, t.event); err != nil {
		return nil, err
	}
	defer recoverReader(&err) // recording calls the reader for stacks
	recording = t.recording()
	recording.Bytes, recording.CPU = len(recorded), t.cost()
	return recording, nil
}

// measure calls f and returns the CPU time that it took on the calling thread, or the
// elapsed time if the system does not report the CPU time of threads.
func measure(f func() error) (time.Duration, error) {
	meter := cputime.Start()
	err := f()
	return meter.Stop(), err
}

// checkMemory returns ErrTooMany if a recording of the given size would bring the
// process close to its memory limit. Making and reading it takes four times its size.
func checkMemory(bytes int) error {
	if err := headroom.Check(4 * int64(bytes)); err != nil {
		return fmt.Errorf("%w: %w", ErrTooMany, err)
	}
	return nil
}
