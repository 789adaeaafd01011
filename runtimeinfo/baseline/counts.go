// SPDX-License-Identifier: Apache-2.0

package baseline

// rungs is how many steps a histogram has.
const rungs = 128

// counts is a histogram of rungs steps. Its counters are small, so whoever
// records bounds the total to what fits.
type counts struct {
	N int32
	C [rungs]uint16
}

func (c *counts) add(i int) {
	c.C[i]++
	c.N++
}

// atLeast is how many were recorded at rung i or above. It sums from the nearer end.
func (c *counts) atLeast(i int) int32 {
	var n int32
	if i < rungs/2 {
		for _, v := range c.C[:i] {
			n += int32(v)
		}
		return c.N - n
	}
	for _, v := range c.C[i:] {
		n += int32(v)
	}
	return n
}

// room is how many of the outermost rungs are empty on both sides.
func (c *counts) room() int {
	for n := range rungs / 2 {
		if c.C[n] > 0 || c.C[rungs-1-n] > 0 {
			return n
		}
	}
	return 0 // nothing recorded
}

// halve forgets half of everything.
func (c *counts) halve() {
	c.N = 0
	for i := range c.C {
		c.C[i] /= 2
		c.N += int32(c.C[i])
	}
}

// edge is the lowest rung that has at most n at it or above.
func (c *counts) edge(n int32) int {
	for i := rungs - 1; i >= 0; i-- {
		if n -= int32(c.C[i]); n < 0 {
			return i + 1
		}
	}
	return 0
}

// lowEdge is the highest rung that has at most n at it or below.
func (c *counts) lowEdge(n int32) int {
	for i := range rungs {
		if n -= int32(c.C[i]); n < 0 {
			return i - 1
		}
	}
	return rungs - 1
}
