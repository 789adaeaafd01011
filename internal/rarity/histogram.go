// SPDX-License-Identifier: Apache-2.0

package rarity

// Rungs is the number of bins of a [Histogram].
const Rungs = 128

// Histogram counts values by bin. The caller keeps the total below 65,536.
type Histogram struct {
	N int32
	C [Rungs]uint16
}

// Add counts a value in bin i.
func (h *Histogram) Add(i int) {
	h.C[i]++
	h.N++
}

// AtLeast returns the count of bin i and above. It sums from the nearer end.
func (h *Histogram) AtLeast(i int) int32 {
	var n int32
	if i < Rungs/2 {
		for _, v := range h.C[:i] {
			n += int32(v)
		}
		return h.N - n
	}
	for _, v := range h.C[i:] {
		n += int32(v)
	}
	return n
}

// Halve halves every count.
func (h *Histogram) Halve() {
	h.N = 0
	for i := range h.C {
		h.C[i] /= 2
		h.N += int32(h.C[i])
	}
}

// UpperEdge returns the lowest bin with at most n values in it and above.
func (h *Histogram) UpperEdge(n int32) int {
	for i := Rungs - 1; i >= 0; i-- {
		if n -= int32(h.C[i]); n < 0 {
			return i + 1
		}
	}
	return 0
}

// LowerEdge returns the highest bin with at most n values in it and below.
func (h *Histogram) LowerEdge(n int32) int {
	for i := range Rungs {
		if n -= int32(h.C[i]); n < 0 {
			return i - 1
		}
	}
	return Rungs - 1
}

// Valid reports whether N is the sum of the bins.
func (h *Histogram) Valid() bool {
	var n int32
	for _, v := range h.C {
		n += int32(v)
	}
	return n == h.N
}
