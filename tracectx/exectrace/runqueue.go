// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"time"

	"golang.org/x/exp/trace"
)

// queueSlots is how many slots a run queue has at most.
const queueSlots = 256

// RunQueue is how many goroutines were ready to run and had no processor, over
// the time of a recording.
type RunQueue struct {
	// Slot is the length of each element of Mean and Max.
	Slot time.Duration
	Mean []float64
	Max  []int
}

// queue makes a RunQueue: slots of a fixed number, which get longer.
type queue struct {
	start trace.Time
	at    trace.Time
	slot  time.Duration
	depth int
	area  []float64 // goroutines times nanoseconds
	most  []int
}

func newQueue() queue { return queue{slot: time.Millisecond} }

// begin sets the time at which the first slot begins.
func (q *queue) begin(t trace.Time) { q.start, q.at = t, t }

// add changes the depth at a moment.
func (q *queue) add(by int, now trace.Time) {
	q.advance(now)
	q.depth += by
	q.most[len(q.most)-1] = max(q.most[len(q.most)-1], q.depth)
}

// advance counts the time since the last change.
func (q *queue) advance(now trace.Time) {
	for now.Sub(q.start) >= queueSlots*q.slot {
		q.fold()
	}
	for q.at < now || len(q.most) == 0 {
		i := int(q.at.Sub(q.start) / q.slot)
		for len(q.area) <= i {
			q.area = append(q.area, 0)
			q.most = append(q.most, q.depth)
		}
		until := min(now, q.start+trace.Time(time.Duration(i+1)*q.slot))
		q.area[i] += float64(q.depth) * float64(until.Sub(q.at))
		q.at = until
		if now == q.start {
			return
		}
	}
}

// fold makes each slot twice as long.
func (q *queue) fold() {
	n := (len(q.area) + 1) / 2
	for i := range n {
		q.area[i] = q.area[2*i]
		q.most[i] = q.most[2*i]
		if j := 2*i + 1; j < len(q.area) {
			q.area[i] += q.area[j]
			q.most[i] = max(q.most[i], q.most[j])
		}
	}
	q.area, q.most = q.area[:n], q.most[:n]
	q.slot *= 2
}

func (q *queue) result() RunQueue {
	r := RunQueue{Slot: q.slot, Max: q.most, Mean: make([]float64, len(q.area))}
	for i, a := range q.area {
		length := q.slot
		if end := q.at.Sub(q.start); i == len(q.area)-1 { // the last one is not full
			length = max(1, end-time.Duration(i)*q.slot)
		}
		r.Mean[i] = a / float64(length)
	}
	return r
}
