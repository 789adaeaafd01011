// SPDX-License-Identifier: Apache-2.0

package baseline_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

// A signal that returns within two minutes is one incident. It is closed two minutes after the last
// return, and the next one is another incident.
func TestIncidentIsReportedOnce(t *testing.T) {
	g := newGauge(t, baseline.Signal{Ceiling: 100})
	feed := func(v float64, seconds int) {
		for i := range seconds {
			g.feed(noisy(i, v), time.Second)
		}
	}
	feed(50, 60)
	for range 3 {
		feed(150, 10)
		feed(50, 60)
	}
	if got, want := reports(g.events), []string{"baselines-1 opened"}; !slices.Equal(got, want) {
		t.Fatalf("%q before two minutes have passed, want %q", got, want)
	}
	feed(50, 180)
	feed(150, 10)
	feed(50, 180)
	want := []string{"baselines-1 opened", "baselines-1 closed", "baselines-2 opened", "baselines-2 closed"}
	if got := reports(g.events); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for i := range g.events {
		e := &g.events[i]
		x := e.Incident
		if x == nil {
			continue
		}
		if x.Kind != "ceiling" || x.Signal != "queue.depth" || x.Unit != "{item}" || x.Size < 40 || x.Evidence == "" || x.Since.IsZero() {
			t.Errorf("%+v", x)
		}
		if closed := x.Phase == runtimeinfo.IncidentClosed; closed != (e.Severity == slog.LevelInfo) {
			t.Errorf("%s has severity %v", x.Phase, e.Severity)
		}
	}
}

// In the first half hour an anomaly is no warning, so it is no incident.
func TestInformationIsNoIncident(t *testing.T) {
	g := newGauge(t, baseline.Signal{})
	for i := range 600 {
		g.feed(noisy(i, 50), time.Second)
	}
	for i := range 30 {
		g.feed(noisy(i, 150), time.Second)
	}
	if g.alerts() != 1 || len(reports(g.events)) > 0 {
		t.Errorf("%d alerts, incidents %q", g.alerts(), reports(g.events))
	}
}

// reports returns the phases of all incidents in order.
func reports(events []runtimeinfo.Event) (all []string) {
	for i := range events {
		if x := events[i].Incident; x != nil {
			all = append(all, x.ID+" "+string(x.Phase))
		}
	}
	return all
}
