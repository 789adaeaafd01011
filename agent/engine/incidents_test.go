// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Stop closes the incidents that are open.
func TestStopClosesIncidents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		phases := []runtimeinfo.Incident{
			{ID: "a", Phase: runtimeinfo.IncidentOpened},
			{ID: "b", Phase: runtimeinfo.IncidentOpened},
			{ID: "a", Phase: runtimeinfo.IncidentClosed},
			{ID: "c", Phase: runtimeinfo.IncidentOpened, Kind: "leak", Site: "main.go:7"},
			{ID: "b", Phase: runtimeinfo.IncidentWorsened, Size: 7},
		}
		got := &collect{}
		_, stop := run(t, engine.WithExporter("got", got), engine.WithAnalyzer("incidents", analyzer(func(d *runtimeinfo.Draft) {
			if len(phases) > 0 {
				d.Events = append(d.Events, runtimeinfo.Event{Incident: &phases[0]})
				phases = phases[1:]
			}
		})))
		time.Sleep(9 * time.Second)
		if err := stop(time.Second); err != nil {
			t.Fatal(err)
		}
		var all []string
		var events []runtimeinfo.Event
		for _, s := range got.got {
			for _, e := range s.Events {
				all, events = append(all, e.Incident.ID+" "+string(e.Incident.Phase)), append(events, e)
			}
		}
		want := []string{"a opened", "b opened", "a closed", "c opened", "b worsened", "b closed", "c closed"}
		if !slices.Equal(all, want) {
			t.Errorf("%q, want %q", all, want)
		}
		last := events[len(events)-2:]
		if last[0].Incident.Size != 7 {
			t.Errorf("the newest state of b is not the last one: %+v", last[0].Incident)
		}
		if e := last[1]; e.Message != "leak of main.go:7: the incident is open while the agent stops" || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
	})
}

// A snapshot has the size of each incident that is open after its events, and an incident is one
// series whatever else has its labels.
func TestIncidentSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		phases := []runtimeinfo.Incident{
			{ID: "a", Phase: runtimeinfo.IncidentOpened, Kind: "leak", Site: "main.go:7", Root: "GET /a", Size: 20},
			{ID: "b", Phase: runtimeinfo.IncidentOpened, Kind: "anomaly", Signal: "gc.cpu", Size: 0.5},
			{ID: "c", Phase: runtimeinfo.IncidentOpened, Kind: "leak", Site: "main.go:7", Root: "GET /a", Size: 30},
			{ID: "b", Phase: runtimeinfo.IncidentClosed},
			{ID: "a", Phase: runtimeinfo.IncidentWorsened, Kind: "leak", Site: "main.go:7", Root: "GET /a", Size: 40},
			{ID: "a", Phase: runtimeinfo.IncidentClosed},
			{ID: "c", Phase: runtimeinfo.IncidentClosed},
		}
		events := slices.Clone(phases)
		got := &collect{}
		_, stop := run(t, engine.WithExporter("got", got, engine.EveryTick()), engine.WithAnalyzer("incidents", analyzer(func(d *runtimeinfo.Draft) {
			if len(events) > 0 {
				d.Events = append(d.Events, runtimeinfo.Event{Incident: &events[0]})
				events = events[1:]
			}
		})))
		time.Sleep(9 * time.Second)
		if err := stop(time.Second); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"[leak main.go:7 GET /a ] 20",
			"[leak main.go:7 GET /a ] 20, [anomaly   gc.cpu] 0.5",
			"[leak main.go:7 GET /a ] 20, [anomaly   gc.cpu] 0.5",
			"[leak main.go:7 GET /a ] 20",
			"[leak main.go:7 GET /a ] 40",
			"[leak main.go:7 GET /a ] 30",
			"",
		}
		if len(got.got) < len(want) {
			t.Fatalf("%d snapshots", len(got.got))
		}
		for i, w := range want {
			var all []string
			for p := range got.got[i].Series("gmpulse.incident.size") {
				all = append(all, fmt.Sprint(p.Labels, " ", p.Number))
			}
			if g := strings.Join(all, ", "); g != w {
				t.Errorf("after %s of %s: %q, want %q", phases[i].Phase, phases[i].ID, g, w)
			}
		}
	})
}
