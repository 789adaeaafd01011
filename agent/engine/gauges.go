package engine

import (
	"context"
	"log/slog"
	"math"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// gaugeTimeout is how long a tick waits for the application's gauges. They are
// foreign code: a lock held too long in one of them must not stop the sampler.
const gaugeTimeout = 10 * time.Millisecond

// gauges calls the application's own functions, on a goroutine of its own.
type gauges struct {
	logger   *slog.Logger
	requests chan []func() float64 // unbuffered: a busy goroutine takes none
	results  chan []float64        // capacity 1: a late result must not block its goroutine
	failures atomic.Uint64

	mu        sync.Mutex
	functions []func() float64
}

func (g *gauges) init(logger *slog.Logger) {
	g.logger = logger
	g.requests = make(chan []func() float64)
	g.results = make(chan []float64, 1)
}

func (g *gauges) add(r *runtimeinfo.Reader, name, unit, help string, f func() float64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, err := r.AddGauge(name, unit, help); err != nil {
		return err
	}
	g.functions = append(g.functions, f) // the index is that of AddGauge: mu is held over both
	return nil
}

// values calls the functions and waits for their results, but not for long.
// Absent values are NaN; none at all is nil.
func (g *gauges) values() []float64 {
	g.mu.Lock()
	functions := slices.Clip(g.functions)
	g.mu.Unlock()
	if len(functions) == 0 {
		return nil
	}
	select { // a late result of an earlier tick is stale
	case <-g.results:
	default:
	}
	timeout := time.NewTimer(gaugeTimeout)
	defer timeout.Stop()
	select {
	case g.requests <- functions:
	case <-timeout.C:
		g.failures.Add(uint64(len(functions)))
		return nil
	}
	select {
	case v := <-g.results:
		return v
	case <-timeout.C:
		g.failures.Add(uint64(len(functions)))
		return nil
	}
}

func (g *gauges) run(ctx context.Context) {
	pprof.Do(ctx, pprof.Labels(ProfilerLabel, "gauges"), func(ctx context.Context) {
		for {
			select {
			case <-ctx.Done():
				return
			case functions := <-g.requests:
				values := make([]float64, len(functions))
				for i, f := range functions {
					values[i] = g.call(f)
				}
				select {
				case g.results <- values:
				case <-ctx.Done():
					return
				}
			}
		}
	})
}

// call turns panics and values that are no numbers into absence.
func (g *gauges) call(f func() float64) (v float64) {
	defer func() {
		if p := recover(); p != nil {
			v = math.NaN()
			if g.failures.Add(1) == 1 { // once: a gauge that panics does so at every tick
				g.logger.Error("gmpulse: a gauge panicked", slog.Any("panic", p))
			}
		}
	}()
	v = f()
	if math.IsNaN(v) || math.IsInf(v, 0) {
		g.failures.Add(1)
		return math.NaN()
	}
	return v
}
