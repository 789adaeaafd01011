// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"slices"
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
