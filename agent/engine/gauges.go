// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo/sampler"
)

// gaugeTimeout is how long a tick waits for the application's gauges. They are
// foreign code: a lock held too long in one of them must not stop the sampler.
const gaugeTimeout = 10 * time.Millisecond

// gauges calls the application's own functions.
type gauges struct {
	logger   *slog.Logger
	failures atomic.Uint64
	asking   sync.WaitGroup // goroutines that call gauges: one a tick, and one for each gauge that hangs

	mu  sync.Mutex
	all []*gauge
}

// gauge is one function of the application.
type gauge struct {
	name     string
	f        func() float64
	busy     atomic.Bool // it was called and has not returned
	panicked atomic.Bool
	late     bool // it kept the last tick waiting; only the tick uses it
}

func (g *gauges) add(r *sampler.Reader, name, unit, help string, f func() float64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, err := r.AddGauge(name, unit, help); err != nil {
		return err
	}
	g.all = append(g.all, &gauge{name: name, f: f}) // the index is that of AddGauge: mu is held over both
	return nil
}

// values calls the functions and waits for their results, but not for long. What is
// absent is NaN; where there are no gauges it is nil.
func (g *gauges) values() []float64 {
	g.mu.Lock()
	all := slices.Clip(g.all)
	g.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	r := newRound(all)
	g.asking.Go(func() { r.ask(g.logger) }) // labelled as the tick is
	timeout := time.NewTimer(gaugeTimeout)
	defer timeout.Stop()
	select {
	case <-r.done:
	case <-timeout.C:
	}
	values, failed := r.close()
	g.failures.Add(failed)
	return values
}

// round is one call of every gauge. A gauge that hangs keeps the goroutine of its
// round, which then does no more; the rounds to come leave it out.
type round struct {
	all   []*gauge
	order []int // of the calls: those that kept the last tick waiting come last
	done  chan struct{}

	mu     sync.Mutex
	values []float64 // NaN: absent
	closed bool
}

func newRound(all []*gauge) *round {
	r := &round{all: all, order: make([]int, 0, len(all)), done: make(chan struct{}), values: make([]float64, len(all))}
	for _, late := range []bool{false, true} {
		for i, x := range all {
			if x.late == late {
				r.order = append(r.order, i)
			}
		}
	}
	for i := range r.values {
		r.values[i] = math.NaN()
	}
	return r
}

// ask calls the gauges until the round is closed. One that panics, or ends its
// goroutine, costs the others a new one.
func (r *round) ask(logger *slog.Logger) {
	defer close(r.done)
	for next := 0; next < len(r.order); {
		err := guard.Do(func() error {
			for next < len(r.order) && r.call(next) {
				next++
			}
			return nil
		})
		if err == nil {
			return
		}
		r.all[r.order[next]].failed(logger, err)
		next++
	}
}

// call calls the n-th gauge. It is false when its value came too late.
func (r *round) call(n int) bool {
	i := r.order[n]
	x := r.all[i]
	if !x.busy.CompareAndSwap(false, true) {
		return true // it hangs since an earlier tick
	}
	v := x.f()
	if math.IsInf(v, 0) {
		v = math.NaN()
	}
	x.busy.Store(false)
	return r.end(i, v)
}

// end takes a value. It is false when it came too late.
func (r *round) end(i int, v float64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.values[i] = v
	return true
}

// close returns the values that there are, and how many there are not.
func (r *round) close() (values []float64, failed uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for i, x := range r.all {
		x.late = x.busy.Load()
		if math.IsNaN(r.values[i]) {
			failed++
		}
	}
	return r.values, failed
}

// failed notes that a call panicked. It logs the first time: the gauge may do so at
// every tick.
func (x *gauge) failed(logger *slog.Logger, err error) {
	x.busy.Store(false)
	if x.panicked.CompareAndSwap(false, true) {
		logger.Error("gmpulse: a gauge panicked", slog.String("gauge", x.name), slog.Any("error", err))
	}
}
