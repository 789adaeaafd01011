// SPDX-License-Identifier: Apache-2.0

package capacity

import "math"

// point is one window.
type point struct {
	x, y, weight float64
}

// line is CPU over load.
type line struct {
	slope, intercept float64
	n                float64 // effective number of windows
	top              float64 // the highest load
	mean, variance   float64 // of the load
	scatter          float64 // standard deviation of a window from the line
}

// fit fits a line by least squares with Huber's weights: outliers, like a backup that runs for a
// minute, have less weight.
func fit(points []point) line {
	l := line{scatter: math.Inf(1)}
	var sum, squares float64
	for i := range points {
		p := &points[i]
		sum += p.weight
		squares += p.weight * p.weight
		l.top = max(l.top, p.x)
	}
	if sum == 0 {
		return l
	}
	l.n = sum * sum / squares
	const rounds = 4
	for range rounds {
		l.solve(points)
		l.measure(points)
	}
	return l
}

// huber is the distance in standard deviations from which on the weight of a point decreases.
const huber = 1.5

// solve solves the weighted least squares with the scatter of the previous round.
func (l *line) solve(points []point) {
	var w, x, y float64
	cut := huber * l.scatter
	weightOf := func(p *point) float64 {
		if r := math.Abs(p.y - l.intercept - l.slope*p.x); r > cut {
			return p.weight * cut / r
		}
		return p.weight
	}
	for i := range points {
		p := &points[i]
		h := weightOf(p)
		w += h
		x += h * p.x
		y += h * p.y
	}
	if w == 0 {
		return
	}
	x, y = x/w, y/w
	var xx, xy float64
	for i := range points {
		p := &points[i]
		h := weightOf(p)
		xx += h * (p.x - x) * (p.x - x)
		xy += h * (p.x - x) * (p.y - y)
	}
	l.mean, l.variance = x, xx/w
	if xx > 0 {
		l.slope = xy / xx
	}
	l.intercept = y - l.slope*x
}

// measure estimates the scatter: from the mean absolute deviation in the first round, then from
// deviations limited as the weights are, corrected for the limit.
func (l *line) measure(points []point) {
	var w, sum, inside float64
	cut := huber * l.scatter
	first := math.IsInf(cut, 1)
	for i := range points {
		p := &points[i]
		r := math.Abs(p.y - l.intercept - l.slope*p.x)
		w += p.weight
		if r <= cut {
			inside += p.weight
		}
		if first {
			sum += p.weight * r
		} else {
			sum += p.weight * min(r, cut) * min(r, cut)
		}
	}
	bias := l.n / max(1, l.n-2)
	switch {
	case first:
		const normal = 1.2533 // ratio of standard and mean absolute deviation
		l.scatter = normal * sum / w * math.Sqrt(bias)
	case inside > 0:
		l.scatter = math.Sqrt(bias*sum/w) * w / inside
	}
	const finest = 1e-3 // relative accuracy of measured CPU time
	l.scatter = max(l.scatter, finest*math.Abs(l.intercept+l.slope*l.mean))
}

// loadAt returns the load at which the line reaches cpu.
func (l *line) loadAt(cpu float64) float64 { return (cpu - l.intercept) / l.slope }

// confidence returns the probability that the limit is within tolerance of the true one, from
// the scatter of the windows, the curvature, and off, another relative error.
func (l *line) confidence(limit, off float64) float64 {
	if l.slope <= 0 || limit <= 0 || l.variance == 0 {
		return 0
	}
	n := l.n / 2 // consecutive windows are correlated
	far := limit - l.mean
	chance := l.scatter * math.Sqrt((1+far*far/l.variance)/n) / (l.slope * limit)
	bend := curvature * max(0, limit/l.top-1)
	return within(tolerance/math.Hypot(math.Hypot(chance, bend), off), max(1, n-2))
}

// within returns the probability that Student's t is between -t and t, approximated with the
// normal distribution.
func within(t, freedom float64) float64 {
	if math.IsInf(t, 1) {
		return 1
	}
	z := t * (1 - 1/(4*freedom)) / math.Sqrt(1+t*t/(2*freedom))
	return math.Erf(z / math.Sqrt2)
}
