// SPDX-License-Identifier: Apache-2.0

// Package capacity estimates how many requests per second the process can serve before its CPU
// is used up.
//
//	e := capacity.New(nil)
//	a, err := engine.New(engine.WithAnalyzer("capacity", e), ...)
//
// Package agent does this.
//
// # Model
//
// A window is the time between two host passes. It has the ended root spans and the CPU seconds
// per second, the spans in flight, the mix of span names, and the usable CPU. A robust line is
// fitted to the windows of the last day, a few for each level of load:
//
//	CPU = background + CPU per request × requests per second
//
// The limit is the load at which the line reaches the usable CPU. The confidence depends on the
// scatter and number of the windows, and on the ratio of the limit to the highest load seen.
// Windows are weighted by the similarity of their mix to the present one.
//
// # Limitations
//
// There is no estimate before the load has varied, while CPU hardly depends on the load, or while
// requests queue for something other than CPU: then the values are absent and
// [Estimate.State] has the reason. If a sampler drops
// spans, all rates count only the recorded ones.
//
// # Cost
//
// An Estimator takes 15 KB. A tick takes 20 ns, and one in ten, which closes a window, 3 µs with
// ten kinds of requests. It does not allocate (BenchmarkObserve).
package capacity

import (
	"math"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// target is the share of the usable CPU that defines headroom. In a queue for CPU the
	// latency grows as 1/(1-share): at 0.8 it is five times the work.
	target = 0.8
	// tolerance is the relative error of the limit that the confidence refers to.
	tolerance = 0.15
	// minConfidence is the lowest confidence of an estimate. Below it the limit is probably
	// wrong.
	minConfidence = 0.5

	// minWindows is the number of windows needed for a line, weighted by their similarity
	// to the present mix. Two levels of load have fewer, which would leave the slope
	// undetermined.
	minWindows = 2*perLevel + 1
	// curvature is the relative error of the limit for each multiple of the highest load
	// seen: no process is linear without bound.
	curvature = 0.03
)

// Estimator estimates the capacity of the process. Use [New] to make one. It is not safe for
// concurrent use.
type Estimator struct {
	meter     meter
	history   history
	recent    recentMix
	neighbors neighbors
	backlog   backlog
	points    [levels*perLevel + perLevel]point // scratch
	result    Estimate
}

// New returns an Estimator without windows. inner returns the numbers of active and of ended
// spans that are part of another request; nil means that there are none.
func New(inner func() (active int, ended uint64)) *Estimator {
	if inner == nil {
		inner = func() (int, uint64) { return 0, 0 }
	}
	return &Estimator{result: unknown(), meter: meter{inner: inner}}
}

// Observe adds one tick with the current GOMAXPROCS and returns the newest estimate. It returns
// nil without a span source and before the first host pass with CPU times. The result is valid
// until the next call.
func (e *Estimator) Observe(s *runtimeinfo.Snapshot, procs int) *Estimate {
	if _, traced := s.Number(keyEnded); !traced {
		return nil
	}
	if w, ok := e.meter.tick(s, procs); ok {
		e.estimate(&w)
	}
	if math.IsNaN(e.result.Saturation) {
		return nil
	}
	return &e.result
}

// estimate adds a window and makes the estimate that is valid until the next one.
func (e *Estimator) estimate(w *window) {
	usable := max(w.usable*e.neighbors.leave(w), min(w.cpu, w.usable)) // at least what was used
	saturation := w.cpu / usable
	e.result = unknown()
	c := &e.result
	c.Saturation, c.Confidence = saturation, 0
	if w.partial {
		c.State = Uncertain
		return
	}
	e.recent.add(w)
	e.history.compare(&e.recent.mix)
	typical := e.history.unqueued(usable)
	w.waiting = e.backlog.add(w, saturation, typical)
	w.like = w.likeness(&e.recent.mix)
	e.history.add(w)

	points := e.history.points(e.points[:0], w.end)
	l := fit(points)
	if l.n < minWindows {
		return
	}
	limit := l.loadAt(usable)
	confidence := l.confidence(limit, math.Hypot(w.wakeShare(), doubt(usable/w.usable))) * confidenceOfWork(l.slope, typical)
	if l.slope <= 0 || limit <= 0 || confidence < minConfidence {
		c.State, c.Confidence = Uncertain, confidence
		return
	}
	c.CPUPerRequest, c.Background = l.slope, max(0, l.intercept)
	if e.backlog.limits(w) {
		c.State = Waiting // the cost of a request is known, the limit is not
		return
	}
	c.State, c.Confidence = Known, confidence
	c.Limit, c.Headroom = limit, l.loadAt(usable*target)-w.rate
}

// wakeShare is the share of the used CPU that is spent on sleeping and waking up: a context switch
// and the runtime's search for work before it. A process that always has work saves it, so its
// limit is higher by up to that share. A sleep of a thread was measured to take 12 to 17 µs.
func (w *window) wakeShare() float64 {
	const each = 15e-6
	if w.cpu == 0 {
		return 0
	}
	return min(1, w.sleeps*each/w.cpu)
}

// confidenceOfWork is the factor of the confidence for requests that mostly wait: what they wait
// for may have an unknown limit. It is 0.6 if a request uses CPU for less than a tenth of its
// duration, and 1 from a half on.
func confidenceOfWork(cpu, latency float64) float64 {
	const least, from, to = 0.6, 0.1, 0.5
	if math.IsNaN(latency) || latency <= 0 {
		return 1 // too short to be sampled in flight
	}
	return least + (1-least)*min(1, max(0, (cpu/latency-from)/(to-from)))
}

// halfWeightAge is the age at which a window has half the weight.
const halfWeightAge = 6 * time.Hour
