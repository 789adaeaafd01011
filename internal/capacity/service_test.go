// SPDX-License-Identifier: Apache-2.0

package capacity_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/internal/capacity"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// request is a kind of request of the test service.
type request struct {
	name string
	cpu  float64 // seconds
	wait float64 // seconds, on something other than CPU
}

// service simulates a process of known capacity with its own clock, counters and noise.
type service struct {
	requests   []request
	mix        []float64 // shares of requests
	background float64   // CPUs
	gc         float64   // CPU of the collector for each CPU of the requests
	noise      float64   // standard deviation of the CPU of a second, relative
	procs      int
	quota      float64       // CPUs; 0: none
	pool       int           // how many requests may wait at once; 0: any number
	stolen     float64       // share of the CPU that neighbours take when it is wanted
	pass       time.Duration // between two host passes
	spike      func(second int) float64
	early      time.Duration // how long before the tick a pass is made
	sleeps     float64       // of threads, for each request
	lags       float64       // time that threads wait for each other, for each second of CPU
	streams    int           // spans open for hours, of the last kind of request
	untracked  float64       // share of spans for which there is no room

	rand      *rand.Rand
	estimator *capacity.Estimator
	now       time.Time
	second    int
	passed    time.Time
	host      map[string]float64 // of the last pass
	cpu, lag  float64
	used      float64 // CPU of the last second
	slept     float64
	idle      float64 // of the machine
	busy      float64
	ended     []float64
	queue     float64 // requests that wait for the pool or for CPU
	lost      float64
	last      *capacity.Estimate
}

func newService(seed uint64) *service {
	return &service{
		requests:  []request{{"GET /", 2e-3, 0}},
		mix:       []float64{1},
		procs:     2,
		pass:      10 * time.Second,
		noise:     0.03,
		rand:      rand.New(rand.NewPCG(seed, 1)),
		estimator: capacity.New(nil),
		now:       time.Unix(1_800_000_000, 0),
	}
}

// usable returns the CPU that the service can use.
func (s *service) usable() float64 {
	u := float64(s.procs)
	if s.quota > 0 {
		u = min(u, s.quota)
	}
	return u * (1 - s.stolen)
}

// cost returns the CPU and waiting time of a request of the present mix.
func (s *service) cost() (cpu, wait float64) {
	for i, r := range s.requests {
		cpu += s.mix[i] * r.cpu * (1 + s.gc)
		wait += s.mix[i] * r.wait
	}
	return cpu, wait
}

// limit returns the true limit: the rate at which the CPU is used up.
func (s *service) limit() float64 {
	cpu, _ := s.cost()
	return (s.usable() - s.background) / cpu
}

// run applies the load, as a share of the CPU limit, for some seconds.
func (s *service) run(seconds int, load func(share float64) float64) *capacity.Estimate {
	limit := s.limit()
	for i := range seconds {
		s.step(load(float64(i)/float64(seconds)) * limit)
	}
	return s.last
}

// step simulates one second.
func (s *service) step(offered float64) {
	cpu, wait := s.cost()
	if s.ended == nil {
		s.ended = make([]float64, len(s.requests))
	}
	arrived := max(0, offered+math.Sqrt(offered)*s.rand.NormFloat64())
	room := s.limit()
	if s.pool > 0 {
		room = min(room, float64(s.pool)/wait)
	}
	served := min(s.queue+arrived, room)
	s.queue += arrived - served
	used := served*cpu*(1+s.noise*s.rand.NormFloat64()) + s.background
	if s.spike != nil {
		used += s.spike(s.second)
	}
	used = min(used, s.usable())
	s.cpu += used
	s.used = used
	s.slept += served * s.sleeps
	s.lag += used * (s.lags + s.stolen/(1-s.stolen))
	if s.stolen == 0 {
		s.idle += float64(s.procs) - used
		s.busy += used
	} else {
		s.busy += float64(s.procs) // neighbors use all CPU that they get
	}
	for i, share := range s.mix {
		s.ended[i] += served * share * (1 - s.untracked)
	}
	s.lost += served * s.untracked

	s.second++
	s.now = s.now.Add(time.Second)
	inWork := served * (wait + cpu/max(0.05, 1-used/s.usable()))
	s.last = s.tick(s.queue + inWork)
}

// tick returns the tick that the engine would make.
func (s *service) tick(active float64) *capacity.Estimate {
	if s.now.Sub(s.passed) >= s.pass {
		cpu := s.cpu - s.early.Seconds()*s.used
		s.passed, s.host = s.now, map[string]float64{
			"process.cpu.time.user": cpu * 0.9, "process.cpu.time.system": cpu * 0.1,
			"process.context_switches.voluntary": s.slept, "gmpulse.process.runqueue_wait.time": s.lag,
			"system.cpu.time.idle": s.idle + s.early.Seconds()*s.used, "system.cpu.time.user": s.busy - s.early.Seconds()*s.used,
			"gmpulse.cpu.usable": float64(s.procs),
		}
		if s.quota > 0 {
			s.host["gmpulse.cpu.usable"] = min(s.quota, float64(s.procs))
		}
	}
	values := map[string]float64{
		"gmpulse.host.age":             (s.now.Sub(s.passed) + s.early).Seconds(),
		"gmpulse.root_spans.untracked": math.Floor(s.lost),
	}
	maps.Copy(values, s.host)
	var groups []runtimeinfo.SpanGroup
	for i, r := range s.requests {
		g := runtimeinfo.SpanGroup{Name: r.name, Ended: uint64(s.ended[i]), Active: int(active * s.mix[i])}
		if i == len(s.requests)-1 {
			g.Active += s.streams
			g.Ages[runtimeinfo.SpanAges-1] = s.streams
		}
		values["gmpulse.root_spans.ended"] += float64(g.Ended)
		groups = append(groups, g)
	}
	return s.estimator.Observe(snapshotOf(s.now, values, groups), s.procs)
}

// readMetrics returns what the estimator reads, once: each test makes thousands of snapshots.
var readMetrics = sync.OnceValues(func() (*runtimeinfo.Catalogue, error) {
	var all []*runtimeinfo.Metric
	for _, key := range []string{
		"gmpulse.host.age", "gmpulse.root_spans.ended", "gmpulse.root_spans.untracked", "process.cpu.time.user", "process.cpu.time.system",
		"process.context_switches.voluntary", "gmpulse.process.runqueue_wait.time", "system.cpu.time.idle", "system.cpu.time.user", "gmpulse.cpu.usable",
	} {
		all = append(all, &runtimeinfo.Metric{Name: key})
	}
	return runtimeinfo.NewCatalogue(all...)
})

// snapshotOf returns a snapshot with values by key.
func snapshotOf(at time.Time, values map[string]float64, groups []runtimeinfo.SpanGroup) *runtimeinfo.Snapshot {
	c, err := readMetrics()
	if err != nil {
		panic(err)
	}
	b := runtimeinfo.NewBuilder(c, runtimeinfo.Snapshot{Time: at, SpanGroups: groups})
	d := b.Draft()
	for _, m := range c.Metrics() {
		if v, ok := values[m.Name]; ok {
			d.Add(m, v)
		}
	}
	b.Merge(d)
	return b.Snapshot()
}

// ramp rises from one share of the limit to another.
func ramp(from, to float64) func(float64) float64 {
	return func(x float64) float64 { return from + (to-from)*x }
}

func steady(share float64) func(float64) float64 { return ramp(share, share) }
