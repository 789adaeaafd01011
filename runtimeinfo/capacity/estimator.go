// SPDX-License-Identifier: Apache-2.0

// Package capacity estimates how many requests a second the process can serve
// before its CPU is used up, from what it sees at the load of the day.
//
//	e := capacity.New(nil)
//	a, err := engine.New(engine.WithAnalyzer("capacity", e), ...)
//
// Package agent does this.
//
// # The model
//
// Between two host passes a window is closed: root spans ended per second, CPU
// seconds per second, spans in flight, the mix of span names, the CPU that was
// usable. Over the windows of the last day, a few for each level of load, a
// robust line is laid:
//
//	CPU = background + CPU per request × requests per second
//
// The limit is where the line meets the usable CPU. How well the windows keep to
// the line, how many there are, and how far beyond the highest load seen the limit
// lies make the confidence. Windows count by how much their mix of requests
// resembles that of now, so the estimate is one for the present mix.
//
// # What it does not say
//
// It says nothing before it has seen a spread of load, while CPU follows the load
// too loosely, or while requests queue for something other than CPU: then the
// values are absent, and [Estimate.State] says why. It knows of the
// spans that it is told of: with a sampler that drops some, all rates are those
// of the rest.
//
// # Cost
//
// Memory is fixed, 14 KB. A tick costs 20 ns of CPU; the one in ten that closes a
// window 3 µs, with ten kinds of requests. Nothing is allocated. See
// BenchmarkObserve.
package capacity

import (
	"math"
	"time"
)

const (
	// Target is the share of the usable CPU up to which headroom is counted. In a
	// queue for CPU the time in the system grows as 1/(1-share): at 0.8 it is five
	// times the work, and beyond that small errors of any forecast are large ones
	// of latency.
	Target = 0.8
	// Tolerance is the error of the limit that the confidence speaks of.
	Tolerance = 0.15
	// MinConfidence is the least confidence with which an estimate is given: below
	// it the limit is more likely wrong than right.
	MinConfidence = 0.5

	// minWindows is from how many windows, under a mix like the present one, a line
	// is believed at all. Two levels of load do not hold as many, and a line
	// through so little spread has any slope.
	minWindows = 2*perLevel + 1
	// curvature is how much the limit may be off, as a share of it, for each time
	// that it exceeds the highest load seen: no process is linear for ever.
	curvature = 0.03
)

// Estimator estimates the capacity of the process. Make one with [New]. It
// belongs to one goroutine.
type Estimator struct {
	meter   meter
	memory  memory
	blend   blend
	rival   rival
	backlog backlog
	points  [levels*perLevel + perLevel]point // scratch
	result  Estimate

	inner func() (active int, ended uint64)
	input Input // of the last Analyze
	pass  time.Time
}

// New returns an Estimator that has seen nothing.
//
// Inner returns the numbers of active and of ended spans that are part of another
// request; nil means that there are none.
func New(inner func() (active int, ended uint64)) *Estimator {
	if inner == nil {
		inner = func() (int, uint64) { return 0, 0 }
	}
	return &Estimator{result: unknown(), inner: inner}
}

// Observe takes one tick in, with the GOMAXPROCS of the moment, and returns the
// newest estimate, nil before the first host pass that tells CPU time and while
// there is no span source. The result is valid until the next call.
func (e *Estimator) Observe(t *Input, procs int) *Estimate {
	if t.Spans == nil {
		return nil
	}
	if w, ok := e.meter.tick(t, procs); ok {
		e.estimate(&w)
	}
	if math.IsNaN(e.result.Saturation) {
		return nil
	}
	return &e.result
}

// estimate learns from a window and makes the estimate that holds until the next.
func (e *Estimator) estimate(w *window) {
	usable := max(w.usable*e.rival.leaves(w), min(w.cpu, w.usable)) // what it used it got
	saturation := w.cpu / usable
	e.result = unknown()
	c := &e.result
	c.Saturation, c.Confidence = saturation, 0
	if w.partial {
		c.State = Uncertain
		return
	}
	e.blend.add(w)
	e.memory.compare(&e.blend.mix)
	typical := e.memory.unqueued(usable)
	w.waiting = e.backlog.add(w, saturation, typical)
	w.like = w.likeness(&e.blend.mix)
	e.memory.add(w)

	points := e.memory.points(e.points[:0], w.end)
	l := fit(points)
	if l.n < minWindows {
		return
	}
	limit := l.reaches(usable)
	confidence := l.confidence(limit, math.Hypot(w.waking(), doubt(usable/w.usable))) * confidenceOfWork(l.slope, typical)
	if l.slope <= 0 || limit <= 0 || confidence < MinConfidence {
		c.State, c.Confidence = Uncertain, confidence
		return
	}
	c.CPUPerRequest, c.Background = l.slope, max(0, l.intercept)
	if e.backlog.stands(w) {
		c.State = Waiting // what a request costs is known, what limits them is not
		return
	}
	c.State, c.Confidence = Known, confidence
	c.Limit, c.Headroom = limit, l.reaches(usable*Target)-w.rate
}

// waking is the share of the CPU in use that goes into sleeping and waking up: a
// switch of the kernel, and the runtime's search for work before it. A process
// that always has work saves it, so that its limit is higher by up to that share.
// 12 to 17 µs for each time that a thread sleeps were measured.
func (w *window) waking() float64 {
	const each = 15e-6
	if w.cpu == 0 {
		return 0
	}
	return min(1, w.sleeps*each/w.cpu)
}

// confidenceOfWork is how much a limit by CPU is worth where a request mostly
// waits. Each place where it waits has a limit of its own that nobody has seen
// yet: one below the tenth part of the time at work makes it 0.6, half makes it 1.
func confidenceOfWork(cpu, latency float64) float64 {
	const least, from, to = 0.6, 0.1, 0.5
	if math.IsNaN(latency) || latency <= 0 {
		return 1 // too short to be seen in flight
	}
	return least + (1-least)*min(1, max(0, (cpu/latency-from)/(to-from)))
}

// memoryAge is how old a window is when it counts half: what was learnt of the
// low load last night still serves at noon.
const memoryAge = 6 * time.Hour
