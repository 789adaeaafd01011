// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// reported returns the description of the incident for an event about t, and opens a report if there
// is none.
func (i *incident) reported(w *Watch, t *tracker) *runtimeinfo.Incident {
	phase := runtimeinfo.IncidentWorsened
	if i.report == nil {
		phase = runtimeinfo.IncidentOpened
		i.reports++
		i.about = t
		i.report = &runtimeinfo.Incident{
			ID: "baselines-" + strconv.Itoa(i.reports), Since: w.input.now,
			Kind: "anomaly", Signal: t.name, Root: t.root,
		}
		if t.cause == causeCeiling {
			i.report.Kind = "ceiling"
		}
	}
	x := *i.report
	x.Phase, x.Evidence = phase, t.explain(w)
	x.Size, x.Unit = i.about.value, i.about.band(&w.input).Unit
	return &x
}

// endReport closes the report and returns the event of that. A report is closed later than its
// incident: one that reopens within reopenTime is not reported again.
func (i *incident) endReport(w *Watch) runtimeinfo.Event {
	now, x := w.input.now, *i.report
	i.report = nil
	lasted := i.ended.Sub(i.began)
	x.Phase, x.Size, x.Unit = runtimeinfo.IncidentClosed, i.about.value, i.about.band(&w.input).Unit
	x.Evidence = fmt.Sprintf("over after %v, and as expected for %v", lasted.Round(time.Second), now.Sub(i.ended).Round(time.Second))
	e := info(now, "baseline.incident.closed", i.about.name+": "+x.Evidence,
		slog.String("signal", i.about.name), slog.Time("since", i.began), slog.Duration("lasted", lasted))
	e.Incident = &x
	return e
}
