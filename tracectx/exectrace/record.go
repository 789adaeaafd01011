package exectrace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

var _ goroutines.Recorder = (*Recorder)(nil)

// Record records for so long, and returns what the recording tells of each
// goroutine. It starts the flight recorder, waits, takes what it has and stops it.
// Where the recorder is on anyway, Record waits and takes what it has, which may
// begin before the call. Nobody who needs the recorder meanwhile waits for more
// than the reading. A trace that the application makes with trace.Start goes on.
//
// The recording is shorter than asked for
//   - above 20,000 goroutines: at most one second, as the tracer lists every
//     goroutine once a second;
//   - after a recording of more than 200,000 events a second: by as much as the
//     rate exceeds that, so that it has no more events than one at that rate;
//   - after a recording at whose rate the bytes or events would exceed three
//     quarters of [Config.MaxBytes] or [Config.MaxEvents]: so that they do not;
//   - after one that did not fit: half as long, each time in a row;
//
// but not below 100 ms. The runtime also drops the oldest events where they
// exceed half of [Config.MaxBytes].
//
// It costs the process about 80 ns for each event, 1 µs for each goroutine and
// second, as much at the begin and at the end, and the CPU time of reading; see
// [goroutines.Recording].
//
// The error is [ErrOff], [ErrBusy], [ErrTooMany], [ErrMemory], [ErrFormat], or
// that of ctx, which ends the recording early.
func (r *Recorder) Record(ctx context.Context, length time.Duration) (*goroutines.Recording, error) {
	if r.config.NoRollCall {
		return nil, ErrOff
	}
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

// begin makes sure that the recorder is on until end is called, and returns for
// how long to record, and what the begin cost.
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

// enlist joins the users of the recorder. If the recorder was off, it also has the
// runtime list every goroutine with its stack. The runtime does so at the end of
// each generation, except for those that ran in it: so this is what tells where
// those waited that are woken within the next second.
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

// charge calls f and returns the CPU time that it took on the thread of the caller,
// the time on the clock where the system does not tell.
func charge(f func() error) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, before := time.Now(), threadCPU()
	err := f()
	if spent := threadCPU() - before; spent > 0 {
		return spent, err
	}
	return time.Since(start), err
}

// end lets go of the recorder, also when ctx is done.
func (r *Recorder) end(ctx context.Context) {
	if r.take(context.WithoutCancel(ctx)) != nil {
		return
	}
	defer r.release()
	r.part()
}

// join starts the recorder, unless it is on, for one more user. The turn is the
// caller's.
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

// part ends what join began. The last user stops the recorder. The turn is the
// caller's.
func (r *Recorder) part() {
	if r.users--; r.users == 0 {
		r.flight.Stop()
		r.flight = nil
	}
}

// readGoroutines takes what the recorder has and reads it. The turn is the caller's.
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
	defer func() { // the stacks are still those of the reader
		if p := recover(); p != nil {
			recording, err = nil, fmt.Errorf("%w: the reader panicked: %v", ErrFormat, p)
		}
	}()
	recording = l.recording()
	recording.Bytes, recording.CPU = len(recorded), l.cost()
	return recording, nil
}

// pace is what the recordings so far tell about the next one.
type pace struct {
	eventRate, byteRate float64 // a second, of the last one
	misses              int     // in a row that did not fit
}

const (
	manyGoroutines = 20_000
	// usualRate is how many events a second may be recorded for as long as asked for.
	usualRate = 200_000
)

// length returns for how long to record.
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

// atMost shortens a length so that what comes at a rate is not above most.
func atMost(length time.Duration, rate, most float64) time.Duration {
	if rate*length.Seconds() <= most {
		return length
	}
	return time.Duration(most / rate * float64(time.Second))
}

// bytes returns how many bytes a recording is expected to have.
func (p *pace) bytes(length time.Duration, n int, c *Config) int {
	const (
		least        = 256 << 10 // tables of functions and stacks, buffers of each processor
		perGoroutine = 10        // in each generation
		generations  = 3         // besides those of a second: the first, the last, and what is left over
	)
	listing := float64(n) * perGoroutine * (length.Seconds() + generations)
	return int(min(float64(c.MaxBytes), max(p.byteRate*length.Seconds(), least+listing)))
}

// learn takes a recording, or the error that there was instead.
func (p *pace) learn(r *goroutines.Recording, err error) {
	switch {
	case errors.Is(err, ErrTooMany):
		p.misses++
	case err == nil:
		seconds := max(probe, r.Duration).Seconds()
		*p = pace{eventRate: float64(r.Events) / seconds, byteRate: float64(r.Bytes) / seconds}
	}
}
