// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Tick is the input of [Reader.Read].
type Tick struct {
	Time time.Time // of the tick
	// Lateness is the delay after which the calling goroutine woke up.
	Lateness time.Duration
	// Host is the result of the newest host pass, nil before the first.
	Host *host.Sample
	// Span is the active span for new exemplars. nil means no exemplars.
	Span *runtimeinfo.Span
}

// reading has the values of one tick. The next tick reuses its memory.
type reading struct {
	samples []metrics.Sample
	sched   sched
	pulse   pulseWindow
	gc      debug.GCStats
	repairs uint64 // since the start
	tick    Tick
	cpu     cpuUse
}

// cpuUse has the CPUs that the process used since the last tick.
type cpuUse struct {
	time time.Duration // CPU time of the process
	at   time.Time     // of the tick
	used float64       // NaN if unknown
}

// advance updates c with the CPU time of the process at a tick.
func (c *cpuUse) advance(now time.Time, cpu time.Duration) {
	elapsed, used := now.Sub(c.at), cpu-c.time
	c.used = math.NaN()
	if c.time > 0 && elapsed > 0 && used >= 0 {
		c.used = float64(used) / float64(elapsed)
	}
	c.time, c.at = cpu, now
}

// sum adds the samples with the given indexes. It returns NaN, which means absent, if one of them is
// unknown to this version of Go or means "no limit".
func (r *reading) sum(indexes []int) float64 {
	var v float64
	for _, i := range indexes {
		v += scalar(&r.samples[i])
	}
	return v
}

func scalar(s *metrics.Sample) float64 {
	switch s.Value.Kind() {
	case metrics.KindUint64:
		n := s.Value.Uint64()
		if n >= math.MaxInt64 { // GOMEMLIMIT unset, GOGC off, or a negative number
			return math.NaN()
		}
		return float64(n)
	case metrics.KindFloat64:
		return s.Value.Float64()
	default: // this version of Go does not have it
		return math.NaN()
	}
}

func lastGC(r *reading) float64 {
	if r.gc.NumGC == 0 {
		return math.NaN()
	}
	return float64(r.gc.LastGC.UnixNano()) / 1e9
}
