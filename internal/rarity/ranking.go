// SPDX-License-Identifier: Apache-2.0

package rarity

import "math"

const (
	half = Rungs / 2
	// rungRatio is the ratio of neighboring rungs, 8 %. A smaller change is not
	// significant.
	rungRatio = 1.04 / 0.96
	// minRank is how many values a ranking must have before ranks are used.
	minRank = 30
	// spareRungs are kept free above the largest magnitude.
	spareRungs = half / 4
)

// ranking ranks values against earlier ones on a signed logarithmic scale with 64 rungs for
// each sign. The innermost rung has all smaller magnitudes; the outermost follows the
// largest one. When the current generation of counts is full, it replaces the previous one.
type ranking struct {
	Current, Previous Histogram
	Top               int32 // logarithmic rung of the outermost one
	Used              bool
}

func logRung(magnitude float64) int32 {
	return int32(math.Ceil(math.Log(magnitude) / math.Log(rungRatio)))
}

// rung returns the bin of x.
func (r *ranking) rung(x float64) int {
	inner := 0 // rungs from the innermost one
	if a := math.Abs(x); a > math.SmallestNonzeroFloat64 {
		inner = max(0, min(half-1, int(logRung(a)-r.Top)+half-1))
	}
	if x < 0 {
		return half - 1 - inner
	}
	return half + inner
}

// surprise returns -log10 of the share of earlier values that are as extreme as x, on the
// nearer side. It is 0 while there are few values.
func (r *ranking) surprise(x float64) float64 {
	n := r.Current.N + r.Previous.N
	if n <= minRank {
		return 0
	}
	i := r.rung(x)
	above := r.Current.AtLeast(i) + r.Previous.AtLeast(i)
	tied := int32(r.Current.C[i]) + int32(r.Previous.C[i])
	below := n - above + tied
	if math.Abs(x) > 0 && logRung(math.Abs(x)) > r.Top { // beyond all rungs: no ties
		above, below = min(above, below)-tied, n
	}
	return -math.Log10((float64(min(above, below)) + 0.5) / float64(n+1))
}

// record counts x. capacity limits a generation.
func (r *ranking) record(x float64, capacity int32) {
	if a := math.Abs(x); a > math.SmallestNonzeroFloat64 {
		switch s := logRung(a); {
		case !r.Used:
			r.Used, r.Top = true, s+spareRungs
		case s > r.Top:
			r.raiseTop(int(s - r.Top))
		}
	}
	r.Current.Add(r.rung(x))
	if r.Current.N >= capacity {
		r.Previous, r.Current = r.Current, Histogram{}
	}
}

// raiseTop moves the counts towards the innermost rungs, which absorb what falls below.
func (r *ranking) raiseTop(by int) {
	for _, c := range []*Histogram{&r.Current, &r.Previous} {
		var moved [Rungs]uint16
		for i := range half {
			j := max(0, i-by)
			moved[half+j] += c.C[half+i]
			moved[half-1-j] += c.C[half-1-i]
		}
		c.C = moved
	}
	r.Top += int32(by)
}
