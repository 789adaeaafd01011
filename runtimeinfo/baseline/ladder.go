// SPDX-License-Identifier: Apache-2.0

package baseline

import "math"

const (
	half = rungs / 2
	// rung is the ratio of one step to the next, 8 %: values nearer to each other
	// tie, because a change smaller than that is never news.
	rung = 1.04 / 0.96
	// minRank is how many values a ladder must hold before a rank means anything.
	minRank = 30
	// spare steps are kept free above the largest magnitude.
	spare = half / 4
)

// ladder ranks values against earlier ones on a signed log scale: 64 steps for
// each sign, the innermost for all that is smaller. The outermost follows the
// largest magnitude recorded. Two generations of counters make it forget: when
// the younger is full, the older goes.
type ladder struct {
	Cur, Old counts
	Top      int32 // logarithmic step of the outermost rung
	Used     bool
}

// step is the logarithmic step of a magnitude.
func step(magnitude float64) int32 {
	return int32(math.Ceil(math.Log(magnitude) / math.Log(rung)))
}

// place returns the rung of x: the outermost for all that is larger.
func (l *ladder) place(x float64) int {
	inner := 0 // steps from the innermost rung
	if a := math.Abs(x); a > math.SmallestNonzeroFloat64 {
		inner = max(0, min(half-1, int(step(a)-l.Top)+half-1))
	}
	if x < 0 {
		return half - 1 - inner
	}
	return half + inner
}

// surprise is the negative decimal logarithm of the share of earlier values
// that lie as far out as x, on the nearer side; 0 while too few are known.
func (l *ladder) surprise(x float64) float64 {
	n := l.Cur.N + l.Old.N
	if n <= minRank {
		return 0
	}
	i := l.place(x)
	above := l.Cur.atLeast(i) + l.Old.atLeast(i)
	tied := int32(l.Cur.C[i]) + int32(l.Old.C[i])
	below := n - above + tied
	if math.Abs(x) > 0 && step(math.Abs(x)) > l.Top { // beyond all rungs: ties with nobody
		above, below = min(above, below)-tied, n
	}
	return -math.Log10((float64(min(above, below)) + 0.5) / float64(n+1))
}

// record counts x. The younger generation holds at most full values.
func (l *ladder) record(x float64, full int32) {
	if a := math.Abs(x); a > math.SmallestNonzeroFloat64 {
		switch s := step(a); {
		case !l.Used:
			l.Used, l.Top = true, s+spare
		case s > l.Top:
			l.move(int(s - l.Top))
		}
	}
	l.Cur.add(l.place(x))
	if l.Cur.N >= full {
		l.Old, l.Cur = l.Cur, counts{}
		if room := l.Old.room(); room > 2*spare { // a magnitude of long ago holds the top
			l.move(spare - room)
		}
	}
}

// move shifts the rungs outwards by so many steps; inwards where negative. What
// falls below the innermost rung is merged into it.
func (l *ladder) move(by int) {
	for _, c := range []*counts{&l.Cur, &l.Old} {
		var moved [rungs]uint16
		for i := range half {
			j := max(0, min(half-1, i-by))
			if i == 0 {
				j = 0 // all that is small, zero among it
			}
			moved[half+j] += c.C[half+i]
			moved[half-1-j] += c.C[half-1-i]
		}
		c.C = moved
	}
	l.Top += int32(by)
}
