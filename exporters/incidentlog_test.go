// SPDX-License-Identifier: Apache-2.0

package exporters_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestLogIncidentsKeepsTheContract(t *testing.T) {
	exporttest.Run(t, func(*testing.T) exporters.Exporter { return exporters.LogIncidents(slog.New(slog.DiscardHandler), nil) })
}

// incidentLogger returns an exporter and the lines that it has logged, without their times.
func incidentLogger(t *testing.T) (exporters.Exporter, func() []string) {
	t.Helper()
	var b bytes.Buffer
	h := slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	page := func() string { return "http://127.0.0.1:9464/debug/gmpulse/" }
	return exporters.LogIncidents(slog.New(h), page), func() []string {
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		b.Reset()
		return lines
	}
}

func incidentEvent(phase runtimeinfo.IncidentPhase) runtimeinfo.Event {
	e := exporttest.Event()
	e.Severity = slog.LevelError
	e.Incident.Phase = phase
	if phase == runtimeinfo.IncidentClosed {
		e.Severity, e.Spans, e.Incident.Hint = slog.LevelInfo, nil, ""
		e.Incident.Size, e.Incident.Evidence = 0, "all members have ended"
	}
	return e
}

func TestLogIncidentsLogsOneLineForEachPhase(t *testing.T) {
	x, lines := incidentLogger(t)
	anomaly := exporttest.Event()
	anomaly.Incident = &runtimeinfo.Incident{
		ID: "baselines-1", Phase: runtimeinfo.IncidentOpened, Since: anomaly.Time, Kind: "anomaly", Signal: "gc.cpu", Size: 0.25, Unit: "1",
		Evidence: "gc.cpu 25 %, expected at most 8 %, 5.0× the usual 5 %",
	}
	other := exporttest.Event()
	other.Incident = nil
	s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{
		incidentEvent(runtimeinfo.IncidentOpened), incidentEvent(runtimeinfo.IncidentWorsened), incidentEvent(runtimeinfo.IncidentClosed), anomaly, other,
	})
	if err := x.Export(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	const leak = `goroutines=1042 site="main.(*pool).submit (pool.go:87)" root_span="POST /checkout" evidence="none of the 1000 that existed at 03:02:05 had ended by 03:04:05" hint="nothing receives from the channel" trace_id=4bf92f3577b34da6a3ce929d0e0e4736 incident=goroutines-1 since=2026-01-02T03:04:05.578Z page=http://127.0.0.1:9464/debug/gmpulse/`
	want := []string{
		`level=ERROR msg="gmpulse: goroutine leak opened" ` + leak,
		`level=ERROR msg="gmpulse: goroutine leak worsened" ` + leak,
		`level=WARN msg="gmpulse: goroutine leak closed" goroutines=0 site="main.(*pool).submit (pool.go:87)" root_span="POST /checkout" evidence="all members have ended" incident=goroutines-1 since=2026-01-02T03:04:05.578Z page=http://127.0.0.1:9464/debug/gmpulse/`,
		`level=WARN msg="gmpulse: anomaly opened" signal=gc.cpu value="25 %" evidence="gc.cpu 25 %, expected at most 8 %, 5.0× the usual 5 %" trace_id=4bf92f3577b34da6a3ce929d0e0e4736 incident=baselines-1 since=2026-01-02T03:04:05.578Z page=http://127.0.0.1:9464/debug/gmpulse/`,
	}
	if got := lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Of 100 incidents in a minute ten are logged, and one line has the number of the others.
func TestLogIncidentsLimitsLines(t *testing.T) {
	x, lines := incidentLogger(t)
	s := exporttest.Snapshot()
	export := func(events int, phase runtimeinfo.IncidentPhase) {
		t.Helper()
		all := make([]runtimeinfo.Event, events)
		for i := range all {
			all[i] = incidentEvent(phase)
		}
		if err := x.Export(t.Context(), s.WithEvents(all)); err != nil {
			t.Fatal(err)
		}
	}
	counts := func(want int) {
		t.Helper()
		if got := lines(); len(got) != want {
			t.Errorf("%d lines, want %d:\n%s", len(got), want, strings.Join(got, "\n"))
		}
	}
	summary := func(opened, worsened, closed int) {
		t.Helper()
		got := lines()
		want := fmt.Sprintf(`level=WARN msg="gmpulse: more incidents than are logged in a minute" opened=%d worsened=%d closed=%d page=http://127.0.0.1:9464/debug/gmpulse/`, opened, worsened, closed)
		if got[0] != want || len(got) > 10 {
			t.Errorf("%d lines, the first is\n%s\nwant\n%s", len(got), got[0], want)
		}
	}
	export(100, runtimeinfo.IncidentOpened)
	counts(10)
	s.Time = s.Time.Add(59 * time.Second)
	export(7, runtimeinfo.IncidentWorsened)
	if got := lines(); len(got) != 1 || got[0] != "" {
		t.Errorf("logged more than ten lines in a minute: %q", got)
	}
	s.Time = s.Time.Add(2 * time.Second)
	export(30, runtimeinfo.IncidentClosed)
	summary(90, 7, 0)
	if err := x.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	summary(0, 0, 21)
}
