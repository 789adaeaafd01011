// SPDX-License-Identifier: Apache-2.0

package capacity

import "math"

// point is one window as the line sees it.
type point struct {
	x, y, weight float64
}

// line is CPU over load.
type line struct {
	slope, intercept float64
	n                float64 // windows, those that count less less
	top              float64 // greatest load
	mean, variance   float64 // of the loads
	scatter          float64 // standard deviation of a window from the line
}

// fit lays a line through the points: least squares in which a point far off
// counts less (Huber's weights, reached in a few rounds), so that a backup that
// runs for a minute does not tilt it.
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

// huber is how many standard deviations a point may be off and still count fully.
const huber = 1.5

// solve is weighted least squares, with the scatter of the round before.
func (l *line) solve(points []point) {
	var w, x, y float64
	cut := huber * l.scatter
	weigh := func(p *point) float64 {
		if r := math.Abs(p.y - l.intercept - l.slope*p.x); r > cut {
			return p.weight * cut / r
		}
		return p.weight
	}
	for i := range points {
		p := &points[i]
		h := weigh(p)
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
		h := weigh(p)
		xx += h * (p.x - x) * (p.x - x)
		xy += h * (p.x - x) * (p.y - y)
	}
	l.mean, l.variance = x, xx/w
	if xx > 0 {
		l.slope = xy / xx
	}
	l.intercept = y - l.slope*x
}

// measure estimates the scatter: from the mean absolute deviation at first, then
// from deviations that are cut where the weights are, made up for the cut.
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
		const normal = 1.2533 // standard deviations in a mean absolute one
		l.scatter = normal * sum / w * math.Sqrt(bias)
	case inside > 0:
		l.scatter = math.Sqrt(bias*sum/w) * w / inside
	}
	const finest = 1e-3 // nobody measures CPU time better
	l.scatter = max(l.scatter, finest*math.Abs(l.intercept+l.slope*l.mean))
}

// reaches is the load at which the line reaches this much CPU.
func (l *line) reaches(cpu float64) float64 { return (cpu - l.intercept) / l.slope }

// confidence is the probability that the limit is within [Tolerance] of the truth,
// by the scatter of the windows, the bend that no line has, and what else it may
// be off by, as a share.
func (l *line) confidence(limit, off float64) float64 {
	if l.slope <= 0 || limit <= 0 || l.variance == 0 {
		return 0
	}
	n := l.n / 2 // windows that follow one another resemble one another
	far := limit - l.mean
	chance := l.scatter * math.Sqrt((1+far*far/l.variance)/n) / (l.slope * limit)
	bend := curvature * max(0, limit/l.top-1)
	return within(Tolerance/math.Hypot(math.Hypot(chance, bend), off), max(1, n-2))
}

// within is the probability that Student's t with so many degrees of freedom is
// between -t and t, by the usual approximation with the normal distribution.
func within(t, freedom float64) float64 {
	if math.IsInf(t, 1) {
		return 1
	}
	z := t * (1 - 1/(4*freedom)) / math.Sqrt(1+t*t/(2*freedom))
	return math.Erf(z / math.Sqrt2)
}
