// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"math/bits"
	"time"
)

// Latency counts durations by power of two: index i holds those from 2^(i-1) to
// 2^i nanoseconds.
type Latency [44]uint64 // up to 4.8 hours

func (l *Latency) add(d time.Duration) {
	l[min(bits.Len64(uint64(max(d, 0))), len(l)-1)]++
}

// Count returns how many there are.
func (l *Latency) Count() (n uint64) {
	for _, c := range l {
		n += c
	}
	return n
}

// Quantile returns the upper bound of the bucket with rank q; zero for none.
func (l *Latency) Quantile(q float64) time.Duration {
	rank, sum := q*float64(l.Count()), 0.0
	for i, c := range l {
		if sum += float64(c); c > 0 && sum >= rank {
			return time.Duration(1) << i
		}
	}
	return 0
}
