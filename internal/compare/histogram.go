// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gmpulse/gmpulse/internal/abtest"
)

// histogram has the number of durations by the upper bound of their bucket in microseconds.
type histogram map[float64]float64

// parseHistogram reads the text of a full record: "1280:7 1536:2". It ignores what is malformed.
func parseHistogram(text string) histogram {
	h := histogram{}
	for field := range strings.FieldsSeq(text) {
		bound, count, _ := strings.Cut(field, ":")
		b, err1 := strconv.ParseFloat(bound, 64)
		n, err2 := strconv.ParseFloat(count, 64)
		if err1 == nil && err2 == nil && b > 0 && n > 0 && finite(b) && finite(n) {
			h[b] = n
		}
	}
	return h
}

// minus returns h without the durations of an earlier h.
func (h histogram) minus(earlier histogram) histogram {
	d := histogram{}
	for b, n := range h {
		if n -= earlier[b]; n > 0 {
			d[b] = n
		}
	}
	return d
}

func (h histogram) add(more histogram) {
	for b, n := range more {
		h[b] += n
	}
}

func (h histogram) count() (n float64) {
	for _, c := range h {
		n += c
	}
	return n
}

// lowerBound returns the lower bound of a bucket of package tracectx: each doubling has four buckets of
// equal width, from 4 µs on.
func lowerBound(upper float64) float64 {
	_, exponent := math.Frexp(upper)
	if math.Exp2(float64(exponent-1)) == upper {
		exponent-- // the last bucket of its doubling
	}
	return upper - max(1, math.Exp2(float64(exponent-3)))
}

// quantile returns the duration below which a share p of the durations are, on the assumption that they
// are spread evenly within a bucket, and the width of its bucket, multiplied by the share of durations
// in it: how much that assumption matters.
func (h histogram) quantile(p float64) (q, doubt float64) {
	bounds := slices.SortedFunc(maps.Keys(h), cmp.Compare[float64])
	total, below := h.count(), 0.0
	for i, b := range bounds {
		if n := h[b]; below+n >= p*total || i == len(bounds)-1 {
			width := b - lowerBound(b)
			return lowerBound(b) + width*min(1, max(0, p*total-below)/n), width * n / total
		}
		below += h[b]
	}
	return 0, 0
}

// below returns the number of durations below q.
func (h histogram) below(q float64) (n float64) {
	for b, c := range h {
		low := lowerBound(b)
		n += c * min(1, max(0, (q-low)/(b-low)))
	}
	return n
}

// quantileOf estimates the p-quantile in seconds of all blocks together. Its error follows from the
// error of the share of durations below it (Woodruff, Confidence Intervals for Medians and Other
// Position Measures, JASA 47, 1952). At least ten durations must exceed it.
func quantileOf(blocks []histogram, p float64, waves int) abtest.Estimate {
	all := histogram{}
	for _, h := range blocks {
		all.add(h)
	}
	n := all.count()
	if n == 0 {
		return abtest.Estimate{}
	}
	q, doubt := all.quantile(p)
	shares := make([]abtest.Block, len(blocks))
	for i, h := range blocks {
		shares[i] = abtest.Block{Y: h.below(q), X: h.count()}
	}
	e := abtest.Ratio(shares, waves)
	if (1-p)*n < 10 {
		e.Freedom = 0
	}
	err := max(e.Error, math.Sqrt(p*(1-p)/n))
	low, _ := all.quantile(max(0, p-err))
	high, _ := all.quantile(min(1, p+err))
	e.Value = q / 1e6
	e.Error = math.Hypot((high-low)/2, doubt/math.Sqrt(12)) / 1e6
	return e
}
