// SPDX-License-Identifier: Apache-2.0

package baseline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

// opened feeds a value until an anomaly opens, and returns its event.
func (g *gauge) opened(t *testing.T, v float64) *runtimeinfo.Event {
	t.Helper()
	for range 600 {
		g.feed(v, time.Second)
		if g.alerts() > 0 {
			return &g.events[len(g.events)-1]
		}
	}
	t.Fatalf("%v is no anomaly; band %+v", v, g.band)
	return nil
}

// spiky returns 50, and 400 in each fortieth sample.
func spiky(i int) float64 {
	if i%40 == 39 {
		return 400
	}
	return noisy(i, 50)
}

// A single 100 is not unusual for a signal that is sometimes at 400. A run of them is, and the anomaly
// states the expectation that they exceed.
func TestAnomalyStatesTheExpectationThatWasExceeded(t *testing.T) {
	g := newGauge(t, baseline.Signal{})
	for i := range 1200 {
		g.feed(spiky(i), time.Second)
	}
	g.feed(100, time.Second)
	if b := g.band; !b.Since.IsZero() || b.Value < b.Lower || b.Value > b.Upper {
		t.Fatalf("a single sample is unusual: %+v", b)
	}
	e := g.opened(t, 100)
	if b := g.band; b.Upper >= 100 || b.Lower > 50 || b.Expected < 45 || b.Expected > 75 {
		t.Errorf("band of an anomaly at 100: %+v", b)
	}
	for _, want := range []string{"queue.depth 100, expected at most 6", "1.9× the usual 51"} {
		if !strings.Contains(e.Message, want) {
			t.Errorf("%q is not in %s", want, e.Message)
		}
	}
	if strings.Contains(e.Message, "normal") {
		t.Errorf("the message has another range: %s", e.Message)
	}
	g.feed(50, time.Second)
	if b := g.band; b.Since.IsZero() || b.Value < b.Lower || b.Value > b.Upper {
		t.Errorf("the value has returned: %+v", b)
	}
}

func TestLowAnomalyStatesTheLeastExpected(t *testing.T) {
	g := newGauge(t, baseline.Signal{Below: true})
	for i := range 1200 {
		v := noisy(i, 50)
		if i%40 == 39 {
			v = 6
		}
		g.feed(v, time.Second)
	}
	e := g.opened(t, 20)
	if b := g.band; b.Lower <= 20 || b.Lower > 50 || b.Upper < 50 {
		t.Errorf("band of an anomaly at 20: %+v", b)
	}
	for _, want := range []string{"queue.depth 20, expected at least 39", "samples were as low"} {
		if !strings.Contains(e.Message, want) {
			t.Errorf("%q is not in %s", want, e.Message)
		}
	}
}

// The fast expectation follows a slow rise; the anomaly is one of the slow expectation.
func TestCreepStatesTheSlowExpectation(t *testing.T) {
	g := newGauge(t, baseline.Signal{})
	for i := range 7200 {
		g.feed(noisy(i, 50), time.Second)
	}
	for i := 0; g.alerts() == 0; i++ {
		if i == 7200 {
			t.Fatalf("no anomaly at %v", g.band)
		}
		g.feed(noisy(i, 50*(1+float64(i)/6000)), time.Second)
	}
	e := g.events[len(g.events)-1]
	if !strings.Contains(e.Message, "drifting for minutes") {
		t.Fatalf("another cause: %s", e.Message)
	}
	if !strings.Contains(e.Message, " on average over 15s, expected at most ") {
		t.Error(e.Message)
	}
	if b := g.band; b.Expected < 47 || b.Expected > 56 || b.Upper < b.Expected || b.Upper > 68 || b.Lower > b.Expected {
		t.Errorf("band %+v", b)
	}
}

// Values that are frequent by day are an anomaly at night.
func TestRareMinuteStatesWhatIsUsualAtThisTime(t *testing.T) {
	g := newGauge(t, baseline.Signal{})
	const step = 10 * time.Second
	for i := range int((2*24 + 3) * time.Hour / step) {
		level := 50.0
		if h := g.now.Hour(); h >= 8 && h < 20 && i%2 == 0 {
			level = 72
		}
		g.feed(noisy(i, level), step)
	}
	g.events = nil
	for i := 0; g.alerts() == 0; i++ {
		if i == 60 {
			t.Fatalf("no anomaly at %v", g.band)
		}
		g.feed(noisy(i, 72), step)
	}
	e := g.events[len(g.events)-1]
	for _, want := range []string{" on average over 1m, expected at most 6", "× the usual ", "unusual"} {
		if !strings.Contains(e.Message, want) {
			t.Errorf("%q is not in %s", want, e.Message)
		}
	}
	if b := g.band; b.Value <= b.Upper || b.Upper > 65 || b.Expected < 48 || b.Expected > 52 {
		t.Errorf("band %+v", b)
	}
}

// The ceiling is the expectation, also where larger values are usual, and a value at the ceiling
// exceeds it.
func TestCeilingIsTheExpectation(t *testing.T) {
	for _, level := range []float64{50, 120} {
		g := newGauge(t, baseline.Signal{Ceiling: 100})
		for i := range 1200 {
			g.feed(noisy(i, level), time.Second)
		}
		for range 5 {
			g.feed(100, time.Second)
		}
		if b := g.band; b.Since.IsZero() || b.Value <= b.Upper || b.Lower > b.Upper {
			t.Errorf("usual %v: band at the ceiling %+v", level, b)
		}
		g.feed(40, time.Second)
		if b := g.band; b.Since.IsZero() || b.Value > b.Upper {
			t.Errorf("usual %v: band below the ceiling %+v", level, b)
		}
	}
}
