// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"time"

	"golang.org/x/exp/trace"
)

// queueSlots is the maximum number of slots of a RunQueue.
const queueSlots = 256

// RunQueue is the number of runnable goroutines without a processor, over time.
type RunQueue struct {
	// Slot is the length of the period that each element of Mean and Max covers.
	Slot time.Duration
	Mean []float64
	Max  []int
}

// queue computes a RunQueue. When it has queueSlots slots, it doubles their length.
type queue struct {
	start, at trace.Time
	slot      time.Duration
	depth     int
	area      []float64 // goroutines times nanoseconds
	max       []int
}

func (q *queue) begin(t trace.Time) { q.start, q.at = t, t }

// add changes the depth.
func (q *queue) add(n int, now trace.Time) {
	q.advance(now)
	q.depth += n
	last := len(q.max) - 1
	q.max[last] = max(q.max[last], q.depth)
}

// advance adds the time until now.
func (q *queue) advance(now trace.Time) {
	for now.Sub(q.start) >= queueSlots*q.slot {
		q.double()
	}
	for q.at < now || len(q.area) == 0 {
		i := int(q.at.Sub(q.start) / q.slot)
		if i == len(q.area) {
			q.area, q.max = append(q.area, 0), append(q.max, q.depth)
		}
		until := min(now, q.start+trace.Time(time.Duration(i+1)*q.slot))
		q.area[i] += float64(q.depth) * float64(until.Sub(q.at))
		q.at = until
	}
}

// double makes each slot twice as long.
func (q *queue) double() {
	n := (len(q.area) + 1) / 2
	for i := range n {
		q.area[i], q.max[i] = q.area[2*i], q.max[2*i]
		if j := 2*i + 1; j < len(q.area) {
			q.area[i] += q.area[j]
			q.max[i] = max(q.max[i], q.max[j])
		}
	}
	q.area, q.max = q.area[:n], q.max[:n]
	q.slot *= 2
}

func (q *queue) result() RunQueue {
	r := RunQueue{Slot: q.slot, Max: q.max, Mean: make([]float64, len(q.area))}
	for i, area := range q.area {
		length := min(q.slot, q.at.Sub(q.start)-time.Duration(i)*q.slot) // the last slot is incomplete
		r.Mean[i] = area / float64(max(1, length))
	}
	return r
}
