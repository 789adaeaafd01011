// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// recordTimeout is how much longer than asked for a recording may take, reading
// included.
const recordTimeout = 10 * time.Second

// retrySlots is how many slots after a recording that failed the next one is tried.
const retrySlots = 6

// recordingCredit is how far ahead of their time recordings may spend: what is suspicious
// at once needs six or seven within three minutes.
const recordingCredit = 30 * time.Minute

// recorderState limits when recordings are made.
type recorderState struct {
	governor *Governor
	next     time.Time // not before
}

// newRecordingGovernor returns the governor of recordings. What one costs depends on
// what the process does more than on the number of its goroutines.
func newRecordingGovernor(share float64) *Governor {
	const first = 15 * time.Millisecond // expected of the first recording
	g := NewGovernor(share)
	g.base, g.credit = float64(first), recordingCredit
	return g
}

// lengthOf returns for how long to record so many goroutines: one slot, less where they
// are many, because the tracer lists each of them once a second.
func (d *Detective) lengthOf(goroutines int) time.Duration {
	const many = 2000
	length := d.config.Slot
	if goroutines > many {
		length = time.Duration(float64(length) * many / float64(goroutines))
	}
	return max(length, d.config.Slot/5)
}

// Record makes a recording if one is due for a suspicious group and can be afforded,
// and takes note of what it shows; the next survey is judged by it. It blocks while it
// records, for one slot. Run calls it; tests and tools that have surveys of their own
// may, after Consider.
func (d *Detective) Record(ctx context.Context) {
	now, n := time.Now(), runtime.NumGoroutine()
	if !d.recordingDue(now, n) {
		return
	}
	r, err := record(ctx, d.config.Recorder, d.lengthOf(n))
	if ctx.Err() != nil {
		return
	}
	accepted := -1
	if err == nil {
		accepted = d.accepted()
	}
	d.work.Lock()
	if err == nil {
		d.recorder.governor.Spend(now, n, r.CPU)
		r.Start = now // with the monotonic clock, in case the wall clock jumps
		d.tracker.record(r, accepted)
	} else {
		d.recorder.next = time.Now().Add(retrySlots * d.config.Slot)
	}
	d.work.Unlock()

	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.recordFailed++
		return
	}
	d.recorded++
}

// recordingDue reports whether to record now: some group needs it, the last attempt is
// long enough ago, and it can be paid for.
func (d *Detective) recordingDue(now time.Time, n int) bool {
	const apart = 2 // slots: from one recording to the next
	if d.config.Recorder == nil {
		return false
	}
	d.work.Lock()
	defer d.work.Unlock()
	r := &d.recorder
	if !d.tracker.wantsRecording() || now.Before(r.next) || !r.governor.Borrow(now, n) {
		return false
	}
	r.next = now.Add(apart * d.config.Slot)
	return true
}

// record bounds a recording and turns its panic into an error.
func record(ctx context.Context, r Recorder, length time.Duration) (made *Recording, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, length+recordTimeout, errors.New("goroutines: the recording took too long"))
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("goroutines: the recorder panicked: %v", p)
		}
	}()
	made, err = r.Record(ctx, length)
	if err == nil && made == nil {
		return nil, errors.New("goroutines: the recorder returned no recording")
	}
	return made, err
}

// accepted returns how many connections the process has accepted, below zero where
// that is not known.
func (d *Detective) accepted() int {
	if d.config.Accepted == nil {
		return -1
	}
	n, err := d.config.Accepted()
	if err != nil {
		return -1
	}
	return n
}
