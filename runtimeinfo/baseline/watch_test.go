// SPDX-License-Identifier: Apache-2.0

package baseline_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

// gauge feeds a signal of the application to a Watch, one value a second.
type gauge struct {
	watch  *baseline.Watch
	metric *runtimeinfo.Metric
	now    time.Time
	events []runtimeinfo.Event
	band   runtimeinfo.Band
}

func newGauge(t *testing.T, s baseline.Signal) *gauge {
	t.Helper()
	s.Metric = "queue.depth"
	w, err := baseline.New(baseline.Config{Signals: []baseline.Signal{s}})
	if err != nil {
		t.Fatal(err)
	}
	return &gauge{
		watch:  w,
		metric: &runtimeinfo.Metric{Name: "queue.depth", Unit: "{item}", Kind: runtimeinfo.KindGauge},
		now:    time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func (g *gauge) feed(v float64, passed time.Duration) {
	g.now = g.now.Add(passed)
	s := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: g.metric, Number: v})
	s.Time = g.now
	bands, events := g.watch.Judge(s)
	for _, b := range bands {
		if b.Signal == "queue.depth" {
			g.band = b
		}
	}
	g.events = append(g.events, events...)
}

func (g *gauge) alerts() (n int) {
	for _, e := range g.events {
		if e.Name == "baseline.anomaly.opened" {
			n++
		}
	}
	return n
}

// noisy returns a value near level that depends on i only.
func noisy(i int, level float64) float64 {
	return level * (1 + 0.05*math.Sin(float64(i*i)))
}

func TestApplicationSignalRaisesOneAlert(t *testing.T) {
	g := newGauge(t, baseline.Signal{})
	for i := range 600 {
		g.feed(noisy(i, 50), time.Second)
	}
	if b := g.band; b.Learning || b.Expected < 48 || b.Expected > 52 || b.Lower >= b.Expected || b.Upper <= b.Expected || b.Unit != "{item}" {
		t.Errorf("band %+v", b)
	}
	for i := range 10 {
		g.feed(noisy(i, 150), time.Second)
	}
	if g.alerts() != 1 {
		t.Fatalf("%d alerts at the threefold, want 1", g.alerts())
	}
	if b := g.band; b.Since.IsZero() || b.Anomalies != 1 {
		t.Errorf("band %+v", b)
	}
	for i := range 30 {
		g.feed(noisy(i, 50), time.Second)
	}
	if last := g.events[len(g.events)-1]; last.Name != "baseline.anomaly.closed" || !g.band.Since.IsZero() {
		t.Errorf("last event %s, band %+v", last.Name, g.band)
	}
}

func TestBelowDetectsLowValues(t *testing.T) {
	for below, want := range map[bool]int{true: 1, false: 0} {
		g := newGauge(t, baseline.Signal{Below: below})
		for i := range 600 {
			g.feed(noisy(i, 50), time.Second)
		}
		for i := range 20 {
			g.feed(noisy(i, 20), time.Second)
		}
		if g.alerts() != want {
			t.Errorf("below %v: %d alerts when it fell to less than half, want %d", below, g.alerts(), want)
		}
	}
}

// A ceiling raises an alert even while nothing is known about the signal.
func TestCeilingAlwaysRaisesAnAlert(t *testing.T) {
	g := newGauge(t, baseline.Signal{Ceiling: 100})
	for i := range 100 {
		g.feed(noisy(i, 110), time.Second)
	}
	if g.alerts() != 1 {
		t.Errorf("%d alerts above the ceiling, want 1", g.alerts())
	}
}

// Faulty input raises no alert, and the Watch detects an anomaly afterwards.
func TestBadInputIsNoAnomaly(t *testing.T) {
	for name, bad := range map[string]func(g *gauge){
		"NaN":        func(g *gauge) { repeat(g, 300, func(int) float64 { return math.NaN() }) },
		"infinite":   func(g *gauge) { repeat(g, 300, func(int) float64 { return math.Inf(1) }) },
		"one absurd": func(g *gauge) { g.feed(1e300, time.Second) },
		"clock back": func(g *gauge) { g.feed(50, -time.Hour); g.now = g.now.Add(time.Hour) },
		"clock stays back": func(g *gauge) {
			g.now = g.now.Add(-time.Hour)
			repeat(g, 30, func(i int) float64 { return noisy(i, 50) })
		},
		"clock stands":  func(g *gauge) { g.feed(5000, 0) },
		"long gap":      func(g *gauge) { g.feed(50, 24*time.Hour) },
		"smaller unit":  func(g *gauge) { repeat(g, 200, func(i int) float64 { return noisy(i, 50_000) }) },
		"larger unit":   func(g *gauge) { repeat(g, 200, func(i int) float64 { return noisy(i, 0.05) }) },
		"constant":      func(g *gauge) { repeat(g, 2000, func(int) float64 { return 50 }) },
		"zero":          func(g *gauge) { repeat(g, 300, func(int) float64 { return 0 }) },
		"a single zero": func(g *gauge) { g.feed(0, time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGauge(t, baseline.Signal{})
			for i := range 600 {
				g.feed(noisy(i, 50), time.Second)
			}
			bad(g)
			if g.alerts() != 0 {
				t.Fatalf("alert: %s", g.events[len(g.events)-1].Message)
			}
			level := 50.0
			switch name {
			case "smaller unit":
				level = 50_000
			case "larger unit":
				level = 0.05
			}
			for i := range 700 {
				g.feed(noisy(i, level), time.Second)
			}
			if g.alerts() != 0 {
				t.Fatalf("alert afterwards: %s", g.events[len(g.events)-1].Message)
			}
			for i := range 20 {
				g.feed(noisy(i, 4*level), time.Second)
			}
			if g.alerts() != 1 {
				t.Errorf("%d alerts at the fourfold afterwards, want 1", g.alerts())
			}
		})
	}
}

func TestAbsurdFirstValueDoesNoLastingHarm(t *testing.T) {
	for _, when := range []int{0, 30, 59, 60, 61, 79} {
		g := newGauge(t, baseline.Signal{})
		for i := range 1200 {
			v := noisy(i, 50)
			if i == when {
				v = 1e300
			}
			g.feed(v, time.Second)
		}
		if g.alerts() != 0 {
			t.Errorf("absurd value at %d: alert %s", when, g.events[0].Message)
		}
		if b := g.band; b.Expected < 40 || b.Expected > 60 {
			t.Errorf("absurd value at %d: band %+v", when, b)
		}
		for i := range 20 {
			g.feed(noisy(i, 200), time.Second)
		}
		if g.alerts() != 1 {
			t.Errorf("absurd value at %d: %d alerts at the fourfold afterwards", when, g.alerts())
		}
	}
}

func repeat(g *gauge, n int, f func(i int) float64) {
	for i := range n {
		g.feed(f(i), time.Second)
	}
}

func TestCounterResetIsNoAnomaly(t *testing.T) {
	g := newGauge(t, baseline.Signal{})
	g.metric.Kind = runtimeinfo.KindCounter
	total := 0.0
	for i := range 1200 {
		total += noisy(i, 50)
		if i%300 == 299 {
			total = 0
		}
		g.feed(total, time.Second)
	}
	if g.alerts() != 0 {
		t.Errorf("alert: %v", g.events)
	}
	if b := g.band; b.Expected < 45 || b.Expected > 55 || b.Unit != "{item}/s" {
		t.Errorf("band of the rate: %+v", b)
	}
}

// For any values at any times, bands are finite and nothing panics.
func FuzzWatch(f *testing.F) {
	f.Add([]byte("\x00\x01\x02"), uint8(3))
	f.Add([]byte{255, 0, 255, 0, 128, 7, 9, 200}, uint8(255))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		g := newGauge(t, baseline.Signal{Shape: baseline.Shape(step % 2), Below: step%3 == 0})
		odd := []float64{0, 1, -1, 1e300, -1e300, math.NaN(), math.Inf(-1), 5e-324, 1e9}
		for i := range 500 {
			g.feed(noisy(i, 50), time.Second)
		}
		for i, b := range data {
			v := float64(b)
			if int(b) < len(odd) {
				v = odd[b]
			}
			g.feed(v, time.Duration(int(step)-100+i%3)*50*time.Millisecond)
			for _, v := range []float64{g.band.Value, g.band.Expected, g.band.Lower, g.band.Upper} {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Fatalf("band %+v", g.band)
				}
			}
		}
	})
}

func TestNewReportsEveryInvalidField(t *testing.T) {
	_, err := baseline.New(baseline.Config{
		AlertsPerWeek: -1,
		Signals:       []baseline.Signal{{Metric: ""}, {Metric: "goroutines"}, {Metric: "a", Ceiling: math.NaN()}, {Metric: "b", Shape: 9}},
		Ceilings:      map[string]float64{"goroutines": math.Inf(1)},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"AlertsPerWeek: -1 is not between 0.01 and 1000", "the metric's name is empty", `"goroutines" is watched already`,
		`"a": Ceiling NaN`, `"b": Shape 9 is neither`, `Ceilings: "goroutines": +Inf`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not contain %q:\n%v", want, err)
		}
	}
}

// The event has the expected value, the other anomalous signals, the goroutine groups that
// have grown, and the active requests.
func TestOpenedEventDescribesTheAnomaly(t *testing.T) {
	s := newService(t, 1)
	s.sends = 3
	s.run(1200, (*service).traffic)
	s.spans = []runtimeinfo.Span{{Name: "GET /cart", Start: s.now}}
	s.sends = 90
	s.run(20, func(s *service) { s.traffic(); s.extra += 5 })
	if len(s.alerts) != 1 {
		t.Fatalf("alerts %v", s.alerts)
	}
	e := s.alerts[0].event
	got := map[string]string{}
	for _, a := range e.Attrs {
		got[a.Key] = a.Value.String()
	}
	for key, want := range map[string]string{
		"signal": "goroutines", "unit": "{goroutine}", "seen": "", "seen_of": "", "load": "", "expected": "", "lower": "", "upper": "", "since": "",
		"view": "changed within seconds", "also": "goroutines", "grown": "87 more in chan send at cart.notify (cart.go:88) (90)",
	} {
		if v, ok := got[key]; !ok || !strings.Contains(v, want) {
			t.Errorf("%s is %q, want %q in it", key, v, want)
		}
	}
	for _, want := range []string{"expected at most ", "× the usual ", "root spans/s", "samples were as high", "87 more in chan send"} {
		if !strings.Contains(e.Message, want) {
			t.Errorf("the message lacks %q: %s", want, e.Message)
		}
	}
	if len(e.Spans) != 1 || e.Spans[0].Name != "GET /cart" {
		t.Errorf("spans %v", e.Spans)
	}
}

func BenchmarkJudge(b *testing.B) {
	w, err := baseline.New(baseline.Config{})
	if err != nil {
		b.Fatal(err)
	}
	r := sampler.NewReader(sampler.Config{})
	now := time.Now()
	var groups []runtimeinfo.SpanGroup
	for _, name := range []string{"GET /a", "GET /b", "GET /c"} {
		groups = append(groups, runtimeinfo.SpanGroup{Name: name, Active: 3, Ended: 100, TickP50: time.Millisecond, TickP99: time.Second})
	}
	r.Read(sampler.Tick{Time: now})
	s := r.Snapshot()
	s.SpanGroups = groups
	b.ReportAllocs()
	var bands []runtimeinfo.Band
	for b.Loop() {
		s.Time = s.Time.Add(time.Second)
		bands, _ = w.Judge(s)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(bands)), "ns/signal")
}

func TestOnlyEightRootSpansAreWatched(t *testing.T) {
	w, err := baseline.New(baseline.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := sampler.NewReader(sampler.Config{})
	var groups []runtimeinfo.SpanGroup
	for i := range 100 {
		groups = append(groups, runtimeinfo.SpanGroup{Name: fmt.Sprintf("GET /%d", i), Ended: 100, TickP50: time.Millisecond, TickP99: time.Second})
	}
	r.Read(sampler.Tick{Time: time.Now()})
	s := r.Snapshot()
	s.SpanGroups = groups
	bands, _ := w.Judge(s)
	roots := map[string]bool{}
	for _, b := range bands {
		if _, root, ok := strings.Cut(b.Signal, " "); ok {
			roots[root] = true
		}
	}
	if len(roots) != 8 || len(bands) > 14+3*8 {
		t.Errorf("%d bands, of %d root spans", len(bands), len(roots))
	}
}

func TestJudgeAllocatesOnlyTheBands(t *testing.T) {
	w, err := baseline.New(baseline.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := sampler.NewReader(sampler.Config{})
	r.Read(sampler.Tick{Time: time.Now()})
	s := r.Snapshot()
	if n := testing.AllocsPerRun(1000, func() {
		s.Time = s.Time.Add(time.Second)
		w.Judge(s)
	}); n > 1 {
		t.Errorf("%v allocations a tick, want 1", n)
	}
}

// A queue of the application, by the name of its gauge.
func ExampleWatch() {
	w, err := baseline.New(baseline.Config{Signals: []baseline.Signal{{Metric: "queue.depth"}}})
	if err != nil {
		panic(err)
	}
	depth := &runtimeinfo.Metric{Name: "queue.depth", Unit: "{item}", Kind: runtimeinfo.KindGauge}
	now := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	for i := range 900 {
		v := noisy(i, 50)
		if i >= 800 {
			v *= 3
		}
		s := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: depth, Number: v})
		s.Time = now.Add(time.Duration(i) * time.Second)
		_, events := w.Judge(s)
		for _, e := range events {
			fmt.Println(e.Time.Format(time.TimeOnly), e.Message)
		}
	}
	// Output: 10:13:24 queue.depth 157.1, expected at most 61.2, 3.1× the usual 50.07, since 10:13:20 (1 of 721 samples were as high; changed within seconds)
}
