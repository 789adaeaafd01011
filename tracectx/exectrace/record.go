// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

var _ goroutines.Recorder = (*Recorder)(nil)

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
//     shrinks so that the number of events is that of 200,000 a second.
//   - If, at the rates of the last recording, three quarters of [Config.MaxBytes]
//     or [Config.MaxEvents] would be exceeded, the length shrinks to those.
//   - After recordings that exceeded MaxBytes or MaxEvents it halves, once for
//     each of them in a row.
//
// The runtime also drops the oldest events when all exceed half of MaxBytes.
//
// Record takes about 80 ns of CPU time for each event; 1 µs for each goroutine at
// the start, at the end and once a second; and the time to read the recording.
//
// The error is [ErrBusy], [ErrTooMany], [ErrMemory] or [ErrFormat]. If ctx is done
// before the recording is complete, it is the cause of ctx.
func (r *Recorder) Record(ctx context.Context, length time.Duration) (*goroutines.Recording, error) {
	if length <= 0 {
		return nil, fmt.Errorf("exectrace: record for %v: the length must be positive", length)
	}
	recording, err := r.recordFor(ctx, length)
	return recording, r.settle(err)
}

func (r *Recorder) recordFor(ctx context.Context, length time.Duration) (*goroutines.Recording, error) {
	length, cost, err := r.begin(ctx, length)
	if err != nil {
		return nil, err
	}
	defer r.end(ctx)
	if !sleep(ctx, length) {
		return nil, context.Cause(ctx)
	}
	if err := r.take(ctx); err != nil {
		return nil, err
	}
	defer r.release()
	recording, err := r.readGoroutines(ctx)
	r.pace.learn(recording, err)
	if err != nil {
		return nil, err
	}
	recording.CPU += cost
	return recording, nil
}

// begin keeps the recorder on until end is called. It returns the length to record
// and the CPU time that the start took.
func (r *Recorder) begin(ctx context.Context, length time.Duration) (_, cost time.Duration, err error) {
	if err := r.take(ctx); err != nil {
		return 0, 0, err
	}
	defer r.release()
	if r.alien != nil {
		return 0, 0, r.alien
	}
	n := runtime.NumGoroutine()
	if n > r.config.MaxGoroutines {
		return 0, 0, fmt.Errorf("%w: %d goroutines, the cap is %d", ErrTooMany, n, r.config.MaxGoroutines)
	}
	length = r.pace.length(length, n, &r.config)
	if err := checkHeadroom(r.pace.bytes(length, n, &r.config)); err != nil {
		return 0, 0, err
	}
	cost, err = charge(func() error { return r.enlist(length) })
	return length, cost, err
}

// enlist adds a user of the recorder. If the recorder was off, enlist also ends the
// first generation of the trace at once. At the end of a generation, the runtime
// records the stacks of the goroutines that did not run in it. Without this, the
// trace would not show where the goroutines waited that run in the first second.
func (r *Recorder) enlist(length time.Duration) error {
	fresh, err := r.join(length)
	if err != nil || !fresh {
		return err
	}
	if _, err := r.flight.WriteTo(io.Discard); err != nil {
		r.part()
		return fmt.Errorf("exectrace: record: %w", err)
	}
	return nil
}

// charge calls f and returns the CPU time that it took on the calling thread, or the
// elapsed time if the system does not report the CPU time of threads.
func charge(f func() error) (time.Duration, error) {
	meter := cputime.Start()
	err := f()
	return meter.Stop(), err
}

// end undoes begin, even if ctx is done.
func (r *Recorder) end(ctx context.Context) {
	if r.take(context.WithoutCancel(ctx)) != nil {
		return
	}
	defer r.release()
	r.part()
}

// join adds a user of the recorder, and starts it if it is off. It keeps the events
// of the last age at least. The caller holds the turn.
func (r *Recorder) join(age time.Duration) (fresh bool, err error) {
	if r.flight == nil {
		const margin = 30 * time.Second // for a busy machine: what is kept is bounded by bytes
		if r.config.Mode != Off {
			age = max(age, r.config.For, flightAge+r.config.SlowerThan) // what Run needs, should it join
		}
		if r.flight, err = r.fly(age + margin); err != nil {
			return false, err
		}
		fresh = true
	}
	r.users++
	return fresh, nil
}

// part removes a user of the recorder, and stops it after the last one. The caller
// holds the turn.
func (r *Recorder) part() {
	if r.users--; r.users == 0 {
		r.flight.Stop()
		r.flight = nil
	}
}

// readGoroutines reads what the recorder has. The caller holds the turn.
func (r *Recorder) readGoroutines(ctx context.Context) (recording *goroutines.Recording, err error) {
	spent, err := charge(func() error {
		recorded, err := r.record(ctx)
		if err != nil {
			return err
		}
		recording, err = readTranscript(ctx, recorded, r.config.MaxEvents)
		return err
	})
	if err != nil {
		return nil, err
	}
	recording.CPU += spent
	return recording, nil
}

func readTranscript(ctx context.Context, recorded []byte, most int) (recording *goroutines.Recording, err error) {
	l := newTranscript()
	if err := readEvents(ctx, bytes.NewReader(recorded), most, l.event); err != nil {
		return nil, err
	}
	defer func() { // recording still calls the reader, for stacks
		if p := recover(); p != nil {
			recording, err = nil, fmt.Errorf("%w: the reader panicked: %v", ErrFormat, p)
		}
	}()
	recording = l.recording()
	recording.Bytes, recording.CPU = len(recorded), l.cost()
	return recording, nil
}

// pace decides on the length of the next recording. The turn guards it.
type pace struct {
	eventRate, byteRate float64 // per second, of the last recording; 0: unknown
	misses              int     // recordings in a row that exceeded a bound
}

const (
	manyGoroutines = 20_000
	// usualRate is the number of events per second above which recordings get
	// shorter.
	usualRate = 200_000
)

// length returns how long to record in a process of n goroutines.
func (p *pace) length(asked time.Duration, n int, c *Config) time.Duration {
	length := asked
	if n > manyGoroutines {
		length = min(length, time.Second)
	}
	length = atMost(length, p.eventRate, usualRate*asked.Seconds())
	length = atMost(length, p.eventRate, 0.75*float64(c.MaxEvents))
	length = atMost(length, p.byteRate, 0.75*float64(c.MaxBytes))
	length >>= min(p.misses, 10)
	return max(length, min(asked, probe))
}

// atMost returns the length, shortened if rate times length exceeds most.
func atMost(length time.Duration, rate, most float64) time.Duration {
	if rate*length.Seconds() <= most {
		return length
	}
	return time.Duration(most / rate * float64(time.Second))
}

// bytes returns the expected size of a recording.
func (p *pace) bytes(length time.Duration, n int, c *Config) int {
	const (
		least        = 256 << 10 // tables of functions and stacks, buffers of each processor
		perGoroutine = 10        // in each generation
		generations  = 3         // besides those of a second: the first, the last, and what is left over
	)
	listing := float64(n) * perGoroutine * (length.Seconds() + generations)
	return int(min(float64(c.MaxBytes), max(p.byteRate*length.Seconds(), least+listing)))
}

// learn notes the outcome of a recording.
func (p *pace) learn(r *goroutines.Recording, err error) {
	switch {
	case errors.Is(err, ErrTooMany):
		p.misses++
	case err == nil:
		seconds := max(probe, r.Duration).Seconds()
		*p = pace{eventRate: float64(r.Events) / seconds, byteRate: float64(r.Bytes) / seconds}
	}
}
