// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/internal/guard"
)

const (
	// recordTimeout is how much longer than requested a recording may take, including
	// reading.
	recordTimeout = 10 * time.Second
	// retrySlots is the number of slots between a failed recording and the next attempt.
	retrySlots = 6
	// recordSlots is the number of slots from one recording to the next.
	recordSlots = 2
)

// newRecordBudget returns the budget of recordings. Their cost depends more on the activity of
// the process than on the number of goroutines. The credit covers the six or seven recordings
// that a verdict needs within three minutes.
func newRecordBudget(share float64) *cputime.Budget {
	b := cputime.NewBudget(share, 15*time.Millisecond)
	b.Credit = 30 * time.Minute
	return b
}

// recordLength returns the length of a recording of n goroutines: one slot, or less for many
// goroutines, because the tracer lists each of them once a second.
func (d *Detector) recordLength(n int) time.Duration {
	const many = 2000
	length := d.config.Slot
	if n > many {
		length = time.Duration(float64(length) * many / float64(n))
	}
	return max(length, d.config.Slot/5)
}

// Record makes a recording if a suspicious group needs one and the budget allows it. The next
// evaluation uses the result. Record blocks for the length of the recording, at most a slot. Run
// calls it, and surveys after it. A program that takes surveys by itself, instead of Run, calls
// Record at least once a slot from one goroutine.
func (d *Detector) Record(ctx context.Context) {
	now, n := time.Now(), runtime.NumGoroutine()
	if !d.recordingDue(now, n) {
		return
	}
	r, err := d.callRecorder(ctx, d.recordLength(n))
	if ctx.Err() != nil {
		return
	}
	accepted := -1
	if err == nil {
		if n, failed := d.config.Accepted(); failed == nil {
			accepted = n
		}
	}
	d.work.Lock()
	if err == nil {
		d.recordBudget.Spend(now, n, r.CPU)
		r.Start = now // with the monotonic clock reading
		d.tracker.record(r, accepted)
	} else {
		d.nextRecording = time.Now().Add(retrySlots * d.config.Slot)
	}
	d.work.Unlock()

	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.recordFailed++
		return
	}
	d.recorded++
	select {
	case d.surveyNow <- struct{}{}:
	default:
	}
}

// recordingDue reports whether to record now, and if so sets the time of the next attempt.
func (d *Detector) recordingDue(now time.Time, n int) bool {
	if d.config.Record == nil {
		return false
	}
	d.work.Lock()
	defer d.work.Unlock()
	if !d.tracker.wantsRecording(now) || now.Before(d.nextRecording) || !d.recordBudget.Borrow(now, n) {
		return false
	}
	d.nextRecording = now.Add(recordSlots * d.config.Slot)
	return true
}

// callRecorder calls the recorder with a timeout and recovers its panics.
func (d *Detector) callRecorder(ctx context.Context, length time.Duration) (r *Recording, err error) {
	err = guard.Call(ctx, length+recordTimeout, func(ctx context.Context) (err error) {
		r, err = d.config.Record(ctx, length)
		return err
	})
	if err == nil && r == nil {
		err = errors.New("goroutines: the recorder returned no recording")
	}
	return r, err
}
