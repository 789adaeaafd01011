// SPDX-License-Identifier: Apache-2.0

package baseline_test

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

// service simulates a process: an M/M/1-like server whose numbers follow its load, with
// autocorrelated noise. A tick is a second.
type service struct {
	r     *rand.Rand
	watch *baseline.Watch
	now   time.Time

	rate     float64 // root spans a second
	latency  float64 // seconds, when idle
	capacity float64
	extra    float64 // leaked goroutines
	heap     float64 // live bytes, idle
	gc       float64 // CPU share, factor
	stall    float64 // factor on scheduling latency
	slow     float64 // factor on latency
	stopped  float64 // mean lateness of pulses because the process is stopped for moments

	drift             [4]float64
	started, ended    float64
	created           float64
	gcTotal, allTotal float64
	cycles            float64
	alerts            []alert
	normals           []string
	metrics           map[string]*runtimeinfo.Metric
	sends             int // goroutines in "chan send"
	spans             []runtimeinfo.Span
	seq               uint64
	catalogue         *runtimeinfo.Catalogue
	open              bool
	closed            time.Time
}

type alert struct {
	at      time.Time
	signal  string
	message string
	event   runtimeinfo.Event
}

func newService(t *testing.T, seed uint64) *service {
	t.Helper()
	w, err := baseline.New(baseline.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{
		r: rand.New(rand.NewPCG(seed, 99)), watch: w, now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC),
		rate: 200, latency: 5e-3, capacity: 2000, heap: 60e6, gc: 1, stall: 1, slow: 1,
		metrics: map[string]*runtimeinfo.Metric{},
	}
	var all []*runtimeinfo.Metric
	for _, m := range catalogue.All() {
		s.metrics[m.Key()] = m
		all = append(all, m)
	}
	if s.catalogue, err = runtimeinfo.NewCatalogue(all...); err != nil {
		t.Fatal(err)
	}
	return s
}

// seeds returns how many seeds a test tries: n, but one under the race detector, which slows
// these single-goroutine simulations down tenfold.
func seeds(n uint64) uint64 {
	if testutil.RaceEnabled {
		return 1
	}
	return n
}

// noise is lognormal.
func (s *service) noise(sd float64) float64 { return math.Exp(sd * s.r.NormFloat64()) }

// wander is noise with a correlation time of about memory ticks.
func (s *service) wander(i int, sd, memory float64) float64 {
	a := 1 / memory
	s.drift[i] += -a*s.drift[i] + sd*math.Sqrt(2*a)*s.r.NormFloat64()
	return math.Exp(s.drift[i])
}

// values simulates one second. It returns the values of serviceKeys, the time that a request takes,
// and the number of active requests.
func (s *service) values() (values map[string]float64, wait, active float64) {
	arrivals := s.rate * s.noise(0.08)
	s.started += arrivals
	s.ended += arrivals
	busy := min(0.97, s.rate*s.slow/s.capacity)
	wait = s.latency * s.slow / (1 - busy) * s.wander(0, 0.05, 30)
	active = arrivals * wait * s.noise(0.2)
	s.created += arrivals * 2 * s.noise(0.05)
	goroutines := 40 + 2*active + s.extra
	runnable := busy * 4 * s.noise(0.4) * s.stall
	if s.r.Float64() < (0.2+busy/2)*s.gc {
		s.cycles++
		total := 2.0
		s.allTotal += total
		s.gcTotal += min(1.9, total*(0.004+0.02*busy)*s.gc*s.noise(0.3))
	}
	schedule := 20e-6 * (1 + 5*busy) * s.noise(0.8) * s.stall
	if s.r.Float64() < 0.01 {
		schedule *= 10
	}
	return map[string]float64{
		"gmpulse.goroutine.user":                    math.Round(goroutines),
		"gmpulse.pulse.goroutines.mean.running":     busy * 2 * s.noise(0.3),
		"gmpulse.pulse.goroutines.mean.runnable":    runnable,
		"gmpulse.pulse.goroutines.mean.waiting":     goroutines * s.noise(0.01),
		"gmpulse.pulse.goroutines.mean.not_in_go":   s.noise(0.3),
		"gmpulse.goroutine.creations":               math.Round(s.created),
		"gmpulse.pulse.runnable_per_processor.mean": runnable / 2,
		"gmpulse.schedule.duration.p99":             schedule,
		"gmpulse.tick.lateness":                     100e-6 * s.noise(1) * s.stall,
		"gmpulse.pulse.lateness.mean":               100e-6*s.noise(0.4)*s.stall + s.stopped,
		"gmpulse.gc.pause.max":                      60e-6 * s.noise(0.6),
		"gmpulse.gc.heap_live":                      s.heap * (1 + busy) * s.wander(1, 0.02, 20),
		"go.memory.gc.cycles":                       s.cycles,
		"go.cpu.time.gc":                            s.gcTotal,
		"go.cpu.time.user":                          s.allTotal - s.gcTotal,
		"go.cpu.time.scavenge":                      0,
		"go.cpu.time.idle":                          0,
		"gmpulse.gc.cpu":                            s.gcTotal / max(1e-9, s.allTotal),
		"gmpulse.root_spans.started":                math.Round(s.started),
	}, wait, active
}

// tick simulates one second and passes the snapshot to the Watch.
func (s *service) tick() {
	s.now = s.now.Add(time.Second)
	values, wait, active := s.values()
	points := make([]runtimeinfo.Point, 0, len(values))
	for _, key := range serviceKeys() {
		points = append(points, runtimeinfo.Point{Metric: s.metrics[key], Number: values[key]})
	}
	if s.sends > 0 {
		points = append(points, runtimeinfo.Point{Metric: s.metrics["gmpulse.goroutine_group.goroutines"], Number: float64(s.sends), Labels: []string{"chan send", "cart.notify (cart.go:88)", "", "", "", ""}})
	}
	s.seq++
	b := runtimeinfo.NewBuilder(s.catalogue, runtimeinfo.Snapshot{Seq: s.seq, Time: s.now})
	d := b.Draft()
	for _, p := range points {
		d.AddPoint(p)
	}
	d.Spans, d.SpanGroups = s.spans, []runtimeinfo.SpanGroup{{
		Name: "GET /cart", Active: int(active), Ended: uint64(s.ended),
		TickP50: quarter(wait * 0.7), TickP99: quarter(wait * 4.6 * s.noise(0.25)),
	}}
	b.Merge(d)
	d = b.Draft()
	s.watch.Analyze(d)
	b.Merge(d)
	s.record(b.Snapshot().Events)
}

// record keeps what the Watch reports.
func (s *service) record(events []runtimeinfo.Event) {
	for _, e := range events {
		switch e.Name {
		case "baseline.anomaly.opened":
			s.alerts = append(s.alerts, alert{s.now, e.Attrs[0].Value.String(), e.Message, e})
			s.open = true
		case "baseline.anomaly.closed":
			s.open, s.closed = false, s.now
		case "baseline.new_normal":
			s.normals = append(s.normals, e.Message)
		}
	}
}

// quarter rounds a duration as tracectx does.
func quarter(seconds float64) time.Duration {
	step := math.Pow(2, math.Floor(math.Log2(seconds)*4)/4+0.25)
	return time.Duration(step * float64(time.Second))
}

func serviceKeys() []string {
	return strings.Fields(`gmpulse.goroutine.user gmpulse.pulse.goroutines.mean.running gmpulse.pulse.goroutines.mean.runnable
		gmpulse.pulse.goroutines.mean.waiting gmpulse.pulse.goroutines.mean.not_in_go gmpulse.goroutine.creations
		gmpulse.pulse.runnable_per_processor.mean gmpulse.schedule.duration.p99 gmpulse.tick.lateness gmpulse.pulse.lateness.mean gmpulse.gc.pause.max
		gmpulse.gc.heap_live go.memory.gc.cycles go.cpu.time.gc go.cpu.time.user go.cpu.time.scavenge go.cpu.time.idle
		gmpulse.gc.cpu gmpulse.root_spans.started`)
}

// run simulates some seconds.
func (s *service) run(seconds int, each func(*service)) {
	for range seconds {
		each(s)
		s.tick()
	}
}

// since returns the seconds between from and the first alert after it, or infinity.
func (s *service) since(from time.Time) (seconds float64, message string) {
	for _, a := range s.alerts {
		if a.at.After(from) {
			return a.at.Sub(from).Seconds(), a.message
		}
	}
	return math.Inf(1), ""
}

// traffic sets the load of the time of day: a third at night, with hourly variation.
func (s *service) traffic() {
	day := float64(s.now.Unix()%86400) / 86400
	hour := float64(s.now.Unix()%3600) / 3600
	s.rate = 300 * (0.65 - 0.35*math.Cos(2*math.Pi*(day-0.15))) * (1 + 0.1*math.Sin(2*math.Pi*hour)) * s.wander(2, 0.05, 300)
}

// Each kind of trouble is found in time, with no alert before.
func TestTroubleIsFoundInTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		hours  int     // of learning; what creeps needs to have seen the loads of a working day
		within float64 // seconds
		lasts  int
		do     func(s *service)
	}{
		{"leak of 1 goroutine/s", 8, 15, 30, func(s *service) { s.extra++ }},
		{"leak of 1 goroutine/min", 8, 1800, 1900, func(s *service) { s.extra += 1.0 / 60 }},
		{"GC thrash", 2, 10, 20, func(s *service) { s.gc = 30 }},
		{"scheduler starvation", 2, 10, 20, func(s *service) { s.stall = 40 }},
		{"stopped for 60 of every 100 ms", 2, 10, 20, func(s *service) { s.stopped = 0.018 }}, // as a quota does; ticks may miss it
		{"lock convoy", 2, 30, 40, func(s *service) { s.slow = 3 }},
		{"memory leak of 1 %/min", 8, 600, 700, func(s *service) { s.heap *= math.Pow(1.01, 1.0/60) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds(2) {
				s := newService(t, seed)
				s.run(c.hours*3600, (*service).traffic)
				for _, a := range s.alerts {
					t.Errorf("seed %d: false alarm: %s", seed, a.message)
				}
				from := s.now
				s.run(c.lasts, func(s *service) { s.traffic(); c.do(s) })
				took, message := s.since(from)
				t.Logf("seed %d: %v s: %s", seed, took, message)
				if took > c.within {
					t.Errorf("seed %d: alert after %v s, want %v", seed, took, c.within)
				}
			}
		})
	}
}

// Neither four times the load nor its end is an anomaly while the service has the capacity
// for it.
func TestPromotionRaisesNoAlert(t *testing.T) {
	t.Parallel()
	for seed := range seeds(4) {
		s := newService(t, seed)
		ramp := func(from, to float64) func(*service) {
			i := 0.0
			return func(s *service) {
				s.rate = (from + (to-from)*min(1, i/100)) * s.wander(2, 0.03, 300)
				i++
			}
		}
		s.run(3600, ramp(350, 350))
		s.run(600, ramp(350, 1400))
		s.run(600, ramp(1400, 350))
		for _, a := range s.alerts {
			t.Errorf("seed %d: %s %s", seed, a.at.Format(time.TimeOnly), a.message)
		}
	}
}

func TestLatencyOfAPromotionAtNormalLoadIsAnAnomaly(t *testing.T) {
	s := newService(t, 1)
	s.run(3600, func(s *service) { s.rate = 350 })
	from := s.now
	s.run(60, func(s *service) { s.slow = 3.3 })
	if took, _ := s.since(from); took > 30 {
		t.Errorf("alert after %v s", took)
	}
}

func TestAlertEndsSoonAfterRecovery(t *testing.T) {
	t.Parallel()
	for seed := range seeds(3) {
		s := newService(t, seed)
		s.run(3600, (*service).traffic)
		s.run(120, func(s *service) { s.traffic(); s.slow, s.stall = 3, 20 })
		s.slow, s.stall = 1, 1
		from := s.now
		s.run(1200, (*service).traffic)
		if len(s.alerts) != 1 {
			t.Errorf("seed %d: %d alerts, want one", seed, len(s.alerts))
		}
		if took := s.closed.Sub(from).Seconds(); s.open || took <= 0 || took > 30 {
			t.Errorf("seed %d: closed %v s after recovery, open %v", seed, took, s.open)
		}
	}
}

// A leak that lasts longer than newNormal is not adopted: it is one alert, which ends with
// the leak.
func TestLongLeakDoesNotBecomeNormal(t *testing.T) {
	t.Parallel()
	s := newService(t, 3)
	s.run(3600, (*service).traffic)
	s.run(1800, func(s *service) { s.traffic(); s.extra += 1.0 / 30 })
	if len(s.alerts) != 1 || !s.open {
		t.Fatalf("%d alerts while it leaks, open: %v", len(s.alerts), s.open)
	}
	s.extra = 0
	from := s.now
	s.run(1200, (*service).traffic)
	if len(s.alerts) != 1 {
		t.Errorf("second alert: %s", s.alerts[1].message)
	}
	if took := s.closed.Sub(from).Seconds(); s.open || took <= 0 || took > 30 {
		t.Errorf("closed %v s after the leak had ended, open %v", took, s.open)
	}
	if s.normals != nil {
		t.Errorf("%v", s.normals)
	}
}

// A lasting change, for example by a deployment, is one alert and then normal.
func TestLastingChangeBecomesNormal(t *testing.T) {
	t.Parallel()
	s := newService(t, 5)
	s.run(3600, (*service).traffic)
	s.run(3600, func(s *service) { s.traffic(); s.slow, s.heap = 2.2, 120e6 })
	if len(s.alerts) != 1 || s.open {
		t.Fatalf("%d alerts, still open: %v", len(s.alerts), s.open)
	}
	if took := s.closed.Sub(s.alerts[0].at); took > 17*time.Minute {
		t.Errorf("new normal after %v", took)
	}
}

func TestContinuingLeakIsOneAlert(t *testing.T) {
	t.Parallel()
	s := newService(t, 4)
	s.run(2*3600, (*service).traffic)
	s.run(3600, func(s *service) { s.traffic(); s.extra += 1.0 / 60 })
	if len(s.alerts) != 1 || !s.open {
		t.Errorf("%d alerts, open %v", len(s.alerts), s.open)
	}
}

func TestSecondAnomalyIsReportedDuringAnIncident(t *testing.T) {
	t.Parallel()
	s := newService(t, 4)
	s.run(2*3600, func(*service) {})
	s.run(1800, func(s *service) { s.extra += 1.0 / 30 })
	from := s.now
	s.run(60, func(s *service) { s.slow = 3 })
	if took, message := s.since(from); took > 30 || !strings.Contains(message, "root_span") {
		t.Errorf("%d alerts; the second after %v s: %s", len(s.alerts), took, message)
	}
}

func TestCleanHoursRaiseNoAlert(t *testing.T) {
	t.Parallel()
	s := newService(t, 11)
	s.run(6*3600, (*service).traffic)
	for _, a := range s.alerts {
		t.Errorf("%s %s", a.at.Format(time.TimeOnly), a.message)
	}
}

func TestNoAlertWhileLearning(t *testing.T) {
	s := newService(t, 3)
	s.run(299, func(s *service) { s.extra += 5; s.stall = 1 + s.r.Float64()*50 })
	if len(s.alerts) > 0 {
		t.Errorf("alert while learning: %s", s.alerts[0].message)
	}
}

// After a restart the state is used at once, and the start is not judged.
func TestRestartKeepsWhatWasLearned(t *testing.T) {
	c := baseline.Config{StateFile: filepath.Join(t.TempDir(), "state")}
	open := func() *baseline.Watch {
		t.Helper()
		w, err := baseline.New(c)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	s := newService(t, 2)
	s.watch = open()
	s.run(3600, (*service).traffic)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.watch.Run(ctx) // writes the state, as at the end of a process

	s.watch = open()
	s.run(30, func(s *service) { s.traffic(); s.slow, s.stall = 3, 20 })
	s.slow, s.stall = 1, 1
	s.run(60, (*service).traffic)
	if len(s.alerts) > 0 {
		t.Errorf("alert at the start: %s", s.alerts[0].message)
	}
	from := s.now
	s.run(60, func(s *service) { s.traffic(); s.slow = 3 })
	if took, _ := s.since(from); took > 30 {
		t.Errorf("alert after %v s", took)
	}
}
