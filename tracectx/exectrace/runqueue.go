// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"math/bits"
	"time"

	"golang.org/x/exp/trace"
)

// queue measures how many goroutines are runnable without a processor.
type queue struct {
	start, at  trace.Time
	depth, max int
	area       float64 // goroutines times nanoseconds
}

func (q *queue) begin(t trace.Time) { q.start, q.at = t, t }

// add changes the depth.
func (q *queue) add(n int, now trace.Time) {
	q.advance(now)
	q.depth += n
	q.max = max(q.max, q.depth)
}

// advance adds the time until now.
func (q *queue) advance(now trace.Time) {
	q.area += float64(q.depth) * float64(now.Sub(q.at))
	q.at = now
}

// mean returns the average depth.
func (q *queue) mean() float64 { return q.area / float64(max(1, q.at.Sub(q.start))) }

// latency is a histogram of the time that runnable goroutines wait for a processor.
type latency [44]int // element i: 2^(i-1) to 2^i ns

func (l *latency) add(d time.Duration) {
	l[min(bits.Len64(uint64(max(d, 0))), len(l)-1)]++
}

// count returns the number of waits.
func (l *latency) count() (n int) {
	for _, c := range l {
		n += c
	}
	return n
}

// quantile returns an upper bound of the q-quantile, which is exact to a factor of two.
// It returns 0 if there are no waits.
func (l *latency) quantile(q float64) time.Duration {
	rank, sum := q*float64(l.count()), 0.0
	for i, c := range l {
		if sum += float64(c); c > 0 && sum >= rank {
			return time.Duration(1) << i
		}
	}
	return 0
}
