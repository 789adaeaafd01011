// SPDX-License-Identifier: Apache-2.0

package capacity_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/capacity"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// What the estimator documents.
const (
	tolerance     = 0.15 // relative error of the limit
	minConfidence = 0.5
	targetShare   = 0.8 // of the usable CPU, for headroom
)

// known fails unless the limit is within 15 % of the true one. It returns the relative
// error.
func known(t *testing.T, s *service) float64 {
	t.Helper()
	c := s.last
	if c == nil || c.State != capacity.Known {
		t.Errorf("no estimate: %+v", c)
		return math.NaN()
	}
	off := c.Limit/s.limit() - 1
	if math.Abs(off) > tolerance {
		t.Errorf("limit %.0f, truth %.0f: %+.1f %% off, with confidence %.2f", c.Limit, s.limit(), 100*off, c.Confidence)
	}
	return off
}

// absent fails unless the limit is absent with the given state.
func absent(t *testing.T, c *capacity.Estimate, state capacity.State) {
	t.Helper()
	if c == nil || c.State != state || !math.IsNaN(c.Limit) || !math.IsNaN(c.Headroom) || !(c.Confidence < minConfidence) {
		t.Errorf("%+v, want no limit and state %q", c, state)
	}
}

// The limit is estimated from loads between a fifth and three fifths of it, for various
// costs and backgrounds.
func TestLimitIsEstimatedFromModerateLoad(t *testing.T) {
	for seed := range uint64(3) {
		for _, cpu := range []float64{50e-6, 1e-3, 40e-3} {
			for _, background := range []float64{0, 0.3} {
				for _, gc := range []float64{0, 0.25} {
					for _, noise := range []float64{0.02, 0.15} {
						name := fmt.Sprintf("cpu=%v/background=%v/gc=%v/noise=%v/%d", cpu, background, gc, noise, seed)
						t.Run(name, func(t *testing.T) {
							s := newService(seed)
							s.requests[0].cpu, s.background, s.gc, s.noise = cpu, background, gc, noise
							s.run(300, ramp(0.2, 0.6))
							known(t, s)
							c := s.last
							if want := cpu * (1 + gc); math.Abs(c.CPUPerRequest/want-1) > 0.15 {
								t.Errorf("CPU per request %v, truth %v", c.CPUPerRequest, want)
							}
							if math.Abs(c.Background-background) > 0.1 {
								t.Errorf("background %v, truth %v", c.Background, background)
							}
							if math.Abs(c.Saturation-0.6) > 0.15 {
								t.Errorf("saturation %v at 0.6 of the limit", c.Saturation)
							}
							target := (targetShare*2-background)/(cpu*(1+gc)) - 0.6*s.limit()
							if math.Abs(c.Headroom-target) > 0.15*s.limit() {
								t.Errorf("headroom %v, truth %v", c.Headroom, target)
							}
						})
					}
				}
			}
		}
	}
}

func TestConstantLoadGivesNoEstimate(t *testing.T) {
	s := newService(1)
	s.noise = 0.001 // otherwise the fit is exact
	absent(t, s.run(3600, func(x float64) float64 { return 0.43 + 0.01*math.Sin(100*x) }), capacity.Learning)
	if s.last.Saturation < 0.3 || s.last.Saturation > 0.5 {
		t.Errorf("saturation %v at 0.4: it needs no line", s.last.Saturation)
	}
	s.run(200, ramp(0.4, 0.6))
	known(t, s)
}

func TestNoSpansGiveNoEstimate(t *testing.T) {
	s := newService(1)
	s.background = 0.2
	absent(t, s.run(600, steady(0)), capacity.Learning)
	e := capacity.New(nil)
	if c := e.Observe(snapshotOf(time.Now(), nil, nil), 1); c != nil {
		t.Errorf("without a span source: %+v", c)
	}
}

// CPU that does not depend on the load lowers the confidence.
func TestUnrelatedCPUGivesNoEstimate(t *testing.T) {
	s := newService(1)
	s.spike = func(second int) float64 { return 0.8 * float64(second/10*7919%13) / 13 }
	absent(t, s.run(300, ramp(0.15, 0.25)), capacity.Uncertain)
}

// A backup takes a whole CPU at the highest load.
func TestOutliersDoNotTiltTheLine(t *testing.T) {
	s := newService(1)
	s.procs = 4
	s.spike = func(second int) float64 {
		if second >= 550 && second < 580 {
			return 1
		}
		return 0
	}
	s.run(600, ramp(0.1, 0.6))
	if off := known(t, s); math.Abs(off) > 0.05 {
		t.Errorf("%+.1f %% off", 100*off)
	}
}

// A limit of ten times the highest load is not reported.
func TestDistantLimitHasLowConfidence(t *testing.T) {
	s := newService(1)
	s.noise = 0.001
	absent(t, s.run(600, ramp(0.04, 0.08)), capacity.Uncertain)
	s.run(200, ramp(0.1, 0.2))
	known(t, s)
}

// A process that always has work spends no CPU on waking up, so its limit is higher by an
// unknown amount.
func TestWakeUpsLowerTheConfidence(t *testing.T) {
	s := newService(1)
	s.requests[0].cpu = 0.1e-3
	sure := s.run(300, ramp(0.2, 0.6)).Confidence
	s = newService(1)
	s.requests[0].cpu, s.sleeps = 0.1e-3, 2
	if c := s.run(300, ramp(0.2, 0.6)); !(c.Confidence < 0.8*sure) {
		t.Errorf("confidence %v where a third of the CPU is for waking up, else %v", c.Confidence, sure)
	}
}

// The cost of a request changes over a day.
func TestOldWindowsLoseWeight(t *testing.T) {
	s := newService(1)
	s.run(600, ramp(0.1, 0.6))
	s.now = s.now.Add(48 * time.Hour)
	s.requests[0].cpu *= 2
	s.run(400, ramp(0.3, 0.8))
	if off := known(t, s); math.Abs(off) > 0.05 {
		t.Errorf("%+.1f %% off", 100*off)
	}
}

func TestConfidenceIsTheShareOfRightLimits(t *testing.T) {
	var given, right, promised float64
	for seed := range uint64(400) {
		s := newService(seed)
		s.noise = 0.8 // of a second; a window has ten
		s.background = 0.4 * s.rand.Float64()
		from := 0.05 + 0.3*s.rand.Float64()
		c := s.run(100+s.rand.IntN(400), ramp(from, from+0.1+0.3*s.rand.Float64()))
		if c.State != capacity.Known {
			continue
		}
		given++
		promised += c.Confidence
		if math.Abs(c.Limit/s.limit()-1) <= tolerance {
			right++
		}
	}
	t.Logf("of 400: %v given, %.1f right by their confidence, %v in truth", given, promised, right)
	if given < 40 {
		t.Errorf("only %v limits given", given)
	}
	if slack := 2 * math.Sqrt(given/4); right < promised-slack {
		t.Errorf("%v right, promised %.1f", right, promised)
	}
}

// After a change of the mix there is no estimate until enough windows of the new mix exist.
func TestLimitIsForThePresentMix(t *testing.T) {
	s := newService(1)
	s.requests = []request{{"GET /cheap", 1e-3, 0}, {"GET /dear", 10e-3, 0}}
	s.mix = []float64{0.9, 0.1}
	s.run(400, ramp(0.1, 0.6))
	known(t, s)
	s.mix = []float64{0.1, 0.9}
	absent(t, s.run(60, steady(0.3)), capacity.Learning)
	s.run(400, ramp(0.1, 0.6))
	known(t, s)
	s.mix = []float64{0.9, 0.1}
	s.run(400, ramp(0.1, 0.6))
	known(t, s)
}

func TestVaryingMixKeepsTheConfidenceRight(t *testing.T) {
	for seed := range uint64(10) {
		s := newService(seed)
		s.requests = []request{{"GET /cheap", 1e-3, 0}, {"GET /dear", 10e-3, 0}}
		for i := range 600 {
			if i%10 == 0 {
				dear := 0.2 + 0.1*s.rand.Float64()
				s.mix = []float64{1 - dear, dear}
			}
			s.step((0.1 + 0.5*float64(i)/600) * s.limit())
		}
		s.mix = []float64{0.75, 0.25}
		if s.last.State == capacity.Known {
			known(t, s)
		}
	}
}

func TestQuotaIsTheLimit(t *testing.T) {
	s := newService(1)
	s.procs, s.quota = 8, 1.5
	s.run(300, ramp(0.2, 0.6))
	known(t, s)
	s.run(60, steady(1.2)) // throttled, a queue grows
	known(t, s)
	if s.last.Saturation < 0.95 {
		t.Errorf("saturation %v while throttled", s.last.Saturation)
	}
	if s.last.Headroom > 0 {
		t.Errorf("headroom %v at the limit", s.last.Headroom)
	}
}

func TestLineSurvivesAQuotaChange(t *testing.T) {
	s := newService(1)
	s.procs, s.quota = 8, 1
	s.run(300, ramp(0.2, 0.6))
	s.quota = 2
	s.run(20, steady(0.3))
	known(t, s)
}

// Neighbors that take half of the CPU halve the limit.
func TestNeighborsLowerTheLimit(t *testing.T) {
	s := newService(1)
	s.run(300, ramp(0.2, 0.6))
	sure := s.last.Confidence
	s.stolen = 0.5
	s.run(200, steady(0.4))
	known(t, s)
	if s.last.Confidence > 0.8*sure {
		t.Errorf("confidence %v with neighbours, %v without: they come and go", s.last.Confidence, sure)
	}
	s.run(100, steady(1.2))
	known(t, s)
	if math.Abs(s.last.Saturation-1) > 0.12 { // a tenth of the waiting is not attributed to neighbors
		t.Errorf("saturation %v where all that neighbours leave is used", s.last.Saturation)
	}
	s.lags, s.stolen = 2, 0.3 // threads wait for each other, but the used CPU was available
	s.run(100, steady(1.2))
	known(t, s)
	if s.last.Saturation > 1.01 {
		t.Errorf("saturation %v", s.last.Saturation)
	}
	s.lags, s.stolen = 0, 0
	s.run(100, steady(0.6))
	known(t, s)
}

// Threads also wait for each other and for the kernel to wake them.
func TestOwnWaitingThreadsAreNotNeighbors(t *testing.T) {
	s := newService(1)
	s.lags = 1
	s.run(300, ramp(0.2, 0.6))
	known(t, s)
	s.run(100, steady(1.2))
	known(t, s)
}

// What requests wait for may have a limit of its own.
func TestWaitingRequestsLowerTheConfidence(t *testing.T) {
	s := newService(1)
	s.requests[0].wait = 0.2
	c := s.run(300, ramp(0.2, 0.6))
	known(t, s)
	if c.Confidence > 0.7 {
		t.Errorf("confidence %v for requests that wait for 99 %% of their time", c.Confidence)
	}
}

// A pool is the limit before the CPU. There is no CPU limit while requests queue for the
// pool, and until a higher load passes.
func TestSmallPoolIsReportedAsWaiting(t *testing.T) {
	s := newService(1)
	s.requests[0].wait, s.pool = 0.1, 40 // 400 requests/s; the CPU would do for 1000
	s.run(300, ramp(0.1, 0.38))
	if s.last.State != capacity.Known {
		t.Fatalf("before the pool is full: %+v", s.last)
	}
	absent(t, s.run(60, steady(0.5)), capacity.Waiting)
	if math.Abs(s.last.CPUPerRequest/2e-3-1) > 0.15 {
		t.Errorf("CPU per request is known meanwhile: %v", s.last.CPUPerRequest)
	}
	s.queue = 0
	absent(t, s.run(600, steady(0.2)), capacity.Waiting)
	s.pool = 400 // the pool is enlarged
	s.run(100, steady(0.6))
	known(t, s)
}

func TestLongStreamsAreNotABacklog(t *testing.T) {
	s := newService(1)
	s.requests = append(s.requests, request{name: "GET /events"})
	s.mix = []float64{1, 0}
	s.run(300, ramp(0.2, 0.6))
	for range 300 {
		s.streams += 10
		s.run(1, steady(0.5))
	}
	known(t, s)
}

func TestQueueForCPUIsNotABacklog(t *testing.T) {
	s := newService(1)
	s.run(300, ramp(0.2, 0.6))
	s.run(120, steady(1.5))
	known(t, s)
	if s.last.Saturation < 0.95 {
		t.Errorf("saturation %v", s.last.Saturation)
	}
}

// The collector makes the CPU per request rise with the load by up to a third.
func TestCostThatGrowsWithLoadIsTolerated(t *testing.T) {
	s := newService(1)
	truth := 0.806 // of the limit without the collector: x(1+0.3x) = 1
	limit := s.limit()
	for i := range 300 {
		x := 0.15 + 0.35*float64(i)/300
		s.gc = 0.3 * x
		s.step(x * limit)
	}
	if off := s.last.Limit/(truth*limit) - 1; !(math.Abs(off) < tolerance) {
		t.Errorf("%+.1f %% off: %+v", 100*off, s.last)
	}
}

// While spans are not recorded, the rate is unknown.
func TestUntrackedSpansStopLearning(t *testing.T) {
	s := newService(1)
	before := *s.run(300, ramp(0.2, 0.6))
	s.untracked = 0.5
	absent(t, s.run(100, steady(0.8)), capacity.Uncertain)
	if s.last.Saturation < 0.7 {
		t.Errorf("saturation %v at 0.8: it needs no spans", s.last.Saturation)
	}
	s.untracked = 0
	s.run(20, steady(0.6))
	known(t, s)
	if math.Abs(s.last.CPUPerRequest/before.CPUPerRequest-1) > 0.02 {
		t.Errorf("CPU per request %v before, %v after", before.CPUPerRequest, s.last.CPUPerRequest)
	}
}

func TestIrregularPassesWork(t *testing.T) {
	for _, pass := range []time.Duration{time.Second, 7 * time.Second, time.Minute} {
		s := newService(1)
		s.pass = pass
		s.run(1200, ramp(0.2, 0.6))
		known(t, s)
	}
}

func TestPassesBetweenTicksAreInterpolated(t *testing.T) {
	for _, early := range []time.Duration{0, 500 * time.Millisecond, 990 * time.Millisecond} {
		s := newService(1)
		s.pass, s.early, s.noise = time.Second, early, 0.001
		for i := range 300 { // a load that jumps each second
			s.step(s.limit() * (0.2 + 0.4*float64(i%5)/4))
		}
		if off := known(t, s); math.Abs(off) > 0.02 {
			t.Errorf("passes %v before the ticks: %+.1f %% off", early, 100*off)
		}
	}
}

func TestDecreasingCounterStartsANewWindow(t *testing.T) {
	s := newService(1)
	s.run(200, ramp(0.2, 0.5))
	s.cpu = 0
	for range 200 {
		if c := s.run(1, steady(0.4)); c.Saturation < 0 {
			t.Fatalf("saturation %v", c.Saturation)
		}
	}
	known(t, s)
}

func TestObserveDoesNotAllocate(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	observe, next := ticks()
	var all []*runtimeinfo.Snapshot
	for range 1001 { // one call of AllocsPerRun is to warm up
		all = append(all, next())
	}
	if n := testing.AllocsPerRun(1000, func() { observe(all[0]); all = all[1:] }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
