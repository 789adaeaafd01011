// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/jsonl"
	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

type moment struct {
	From, To int64
	Before   [2]int64
	Episodes []struct {
		Source, Subject, Kind string
		From, To              int64
		Peak, Expected        float64
	}
	Changes []struct {
		Key                  string
		Before, During, Peak *float64
		Score                float64
	}
	Groups []struct {
		Wait, Function, File, Site string
		Line, Count, Before        int
		Roots                      []struct {
			Name     string
			Count    int
			Examples []struct{ Trace, Span string }
		}
		Verdict *struct {
			Kind    string
			Suspect bool
		}
	}
	Spans []struct {
		Name, Trace string
		Start, Last int64
	}
	Events []struct{ Name, Text string }
}

// leak returns a report with n goroutines that leak and three that do not.
func leak(at time.Time, n int) goroutines.Report {
	key := goroutines.Key{Class: goroutines.ChanSend, Site: goroutines.Site{Function: "app.notify", File: "/src/app/cart.go", Line: 88}, Entry: "app.notify"}
	idle := goroutines.Key{Class: goroutines.IO, Site: goroutines.Site{Function: "app.serve", File: "/src/app/main.go", Line: 12}, Entry: "app.serve"}
	r := goroutines.Report{Survey: &goroutines.Survey{Time: at, Goroutines: n + 3, Groups: []goroutines.Group{
		{Key: key, Count: n, Origins: []goroutines.Origin{{Root: "GET /checkout", Count: n}}, Stack: []goroutines.Site{{Function: "runtime.gopark"}, key.Site}},
		{Key: idle, Count: 3, Stack: []goroutines.Site{idle.Site}},
	}}}
	if n > 100 {
		example := runtimeinfo.Span{Name: "GET /checkout", TraceID: [16]byte{0xab}, SpanID: [8]byte{1}}
		r.Verdicts = []goroutines.Verdict{{
			Kind: goroutines.Leak, Key: key, Since: at.Add(-20 * time.Second), Count: n, PerMinute: 60,
			Roots: []goroutines.Root{{Name: "GET /checkout", Count: n, Examples: []runtimeinfo.Span{example}}}, Hint: "no goroutine receives",
		}}
	}
	return r
}

// incident returns a page with five minutes of normal operation and one minute of a leak.
func incident(t testing.TB, c page.Config) (e *page.Exporter, from, to time.Time) {
	t.Helper()
	var report goroutines.Report
	c.Goroutines = func() goroutines.Report { return report }
	e = newPage(t, c)
	total, steady := gauge("total"), gauge("steady")
	for n := range 360 {
		count := 10
		if n >= 300 {
			count = 10 + 10*(n-299)
		}
		s := second(n, runtimeinfo.Point{Metric: total, Number: float64(count)}, runtimeinfo.Point{Metric: steady, Number: 50 + float64(n%3)})
		if n%5 == 0 {
			report = leak(s.Time, count)
		}
		s.Spans = []runtimeinfo.Span{{Name: "POST /order", TraceID: [16]byte{7}, SpanID: [8]byte{9}, Start: second(295).Time}}
		if n == 330 {
			s.Events = []runtimeinfo.Event{{Time: s.Time, Name: "goroutine.verdict.opened", Message: "leak: ..."}}
		}
		if n >= 310 {
			s.Bands = []runtimeinfo.Band{{Signal: "goroutines", Value: float64(count), Expected: 10, Lower: 8, Upper: 12, Since: second(303).Time}}
		}
		export(t, e, s)
	}
	return e, second(335).Time, second(345).Time
}

func query(from, to time.Time) string {
	return "?from=" + itoa(from.UnixMilli()) + "&to=" + itoa(to.UnixMilli())
}

func itoa(n int64) string { b, _ := json.Marshal(n); return string(b) }

// The newest sample is a record as package jsonl writes it.
func TestRecord(t *testing.T) {
	e := newPage(t, page.Config{})
	if w := ask(t, e, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/record", http.NoBody)); w.Code != http.StatusServiceUnavailable {
		t.Errorf("before the first sample: %d", w.Code)
	}
	path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
	j, err := jsonl.New(jsonl.Config{Path: path, Full: true})
	if err != nil {
		t.Fatal(err)
	}
	s := exporttest.Snapshot()
	s.SpanGroups = []runtimeinfo.SpanGroup{{Name: "GET /<cart>", Ended: 1, Durations: &runtimeinfo.Histogram{Bounds: []float64{0.5}, Counts: []uint64{1, 0}, Sum: 0.375}}}
	if err := errors.Join(e.Export(t.Context(), s), j.Export(t.Context(), s)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	call(t, e, "api/v1/record", &got)
	if err := json.Unmarshal(text, &want); err != nil || len(want) < 20 || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %v\nwant %v", err, got, want)
	}
}

// A moment shows which group grew, where it waits, under which span it was created, and
// what else happened.
func TestMomentDescribesTheIncident(t *testing.T) {
	e, from, to := incident(t, page.Config{})
	var m moment
	call(t, e, "api/v1/moment"+query(from, to), &m)
	if len(m.Groups) != 2 {
		t.Fatalf("groups %+v", m.Groups)
	}
	g := m.Groups[0]
	if g.Function != "app.notify" || g.File != "/src/app/cart.go" || g.Line != 88 || g.Wait != "chan send" || g.Verdict == nil || !g.Verdict.Suspect {
		t.Errorf("the first group is %+v", g)
	}
	if g.Count-g.Before < 300 {
		t.Errorf("it grew from %d to %d; want a comparison with the time before the anomaly", g.Before, g.Count)
	}
	if len(g.Roots) != 1 || g.Roots[0].Name != "GET /checkout" || !strings.HasPrefix(g.Roots[0].Examples[0].Trace, "ab00") {
		t.Errorf("created under %+v", g.Roots)
	}
	if c := m.Changes[0]; c.Key != "total" || *c.Before > 20 || *c.During < 300 {
		t.Errorf("the first change is %+v", c)
	}
	for _, c := range m.Changes {
		if c.Key == "steady" && (c.Score > 1 || c.Score < -1) {
			t.Errorf("a metric that did not change has score %v", c.Score)
		}
	}
	if m.Before[1] > second(303).Time.UnixMilli() {
		t.Errorf("compared with a time in the anomaly: %v", m.Before)
	}
	if len(m.Spans) != 1 || m.Spans[0].Name != "POST /order" || m.Spans[0].Trace[:4] != "0700" {
		t.Errorf("spans %+v", m.Spans)
	}
	if len(m.Episodes) != 2 || len(m.Events) != 0 {
		t.Errorf("episodes %+v, events %+v", m.Episodes, m.Events)
	}
	for _, s := range m.Episodes {
		if s.Source == "band" && (s.Subject != "goroutines" || s.Peak < 500 || s.Expected != 10 || s.To != 0) ||
			s.Source == "goroutines" && (s.Subject != "app.notify (cart.go:88)" || s.Kind != "leak") {
			t.Errorf("episode %+v", s)
		}
	}
}

func TestMomentOfNormalOperationShowsNoGrowth(t *testing.T) {
	e, _, _ := incident(t, page.Config{})
	var m moment
	call(t, e, "api/v1/moment"+query(second(100).Time, second(110).Time), &m)
	if len(m.Episodes) != 0 || len(m.Events) != 0 || len(m.Spans) != 1 && len(m.Spans) != 0 {
		t.Errorf("%+v", m)
	}
	for _, g := range m.Groups {
		if g.Count != g.Before {
			t.Errorf("%s grew from %d to %d", g.Site, g.Before, g.Count)
		}
	}
}

func TestEpisodesEnd(t *testing.T) {
	e, _, _ := incident(t, page.Config{})
	s := second(400)
	export(t, e, s)
	var log struct {
		Episodes []struct {
			Source string
			To     int64
		}
	}
	call(t, e, "api/v1/events", &log)
	for _, sp := range log.Episodes {
		if sp.Source == "band" && sp.To != s.Time.UnixMilli() {
			t.Errorf("the episode ends at %d", sp.To)
		}
	}
	if len(log.Episodes) != 2 {
		t.Errorf("%+v", log.Episodes)
	}
}

func TestGoroutinesReturnsTheLastSurvey(t *testing.T) {
	e, _, _ := incident(t, page.Config{})
	var g struct {
		Total    int
		Groups   []struct{ Site string }
		Verdicts []struct {
			Site    string
			Count   int
			Verdict struct{ Kind, Hint string }
		}
	}
	call(t, e, "api/v1/goroutines", &g)
	if g.Total != 573 || len(g.Groups) != 2 || len(g.Verdicts) != 1 || g.Verdicts[0].Site != "app.notify (cart.go:88)" || g.Verdicts[0].Verdict.Kind != "leak" {
		t.Errorf("%+v", g)
	}
	var f flame
	call(t, e, "api/v1/flame", &f)
	if f.Total != 573 || f.path("chan send", "app.notify", "runtime.gopark") != 570 {
		t.Errorf("flame graph of %d, %+v", f.Total, f.Tree)
	}
}

func (hugeInfo) Size() int64 { return 1 << 40 }

func (hugeInfo) IsDir() bool { return false }

func TestIncidentZipHasAllFiles(t *testing.T) {
	bundles := capture(t, second(340).Time)
	e, from, to := incident(t, page.Config{Bundles: bundles})
	w := call(t, e, "api/v1/incident.zip"+query(from, to), nil)
	z, err := zip.NewReader(bytes.NewReader(w.Body.Bytes()), int64(w.Body.Len()))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name] = string(b)
	}
	var m moment
	if err := json.Unmarshal([]byte(got["moment.json"]), &m); err != nil || len(m.Groups) != 2 {
		t.Errorf("moment.json: %v, %d groups", err, len(m.Groups))
	}
	if !strings.Contains(got["README.txt"], "leak: ") || !strings.Contains(got["README.txt"], "app.notify (cart.go:88)") || !strings.Contains(got["README.txt"], "created under GET /checkout") {
		t.Errorf("README.txt: %s", got["README.txt"])
	}
	if lines := strings.Split(got["history.csv"], "\n"); !strings.HasPrefix(lines[0], "time,") || !strings.Contains(lines[0], "total") || len(lines) < 50 {
		t.Errorf("history.csv: %d lines, %s", len(lines), lines[0])
	}
	if !bytes.Equal([]byte(got["captures/one/goroutine.pb.gz"]), bundles["one/goroutine.pb.gz"].Data) || got["captures/two/notes.txt"] != "" {
		t.Errorf("captures: %d files in all", len(got))
	}
}

// ranked returns a page with six minutes of a service. In the last minute its goroutines
// leak, if leaks is set, and other metrics change a little in any case.
func ranked(t *testing.T, leaks bool) (e *page.Exporter, from, to time.Time) {
	t.Helper()
	e = newPage(t, page.Config{})
	metric := func(name, unit string, kind runtimeinfo.Kind, s runtimeinfo.Subsystem) *runtimeinfo.Metric {
		return &runtimeinfo.Metric{Name: name, Unit: unit, Kind: kind, Subsystem: s}
	}
	user := metric("gmpulse.goroutine.user", "{goroutine}", runtimeinfo.KindUpDownCounter, runtimeinfo.SubsystemScheduler)
	noise := []*runtimeinfo.Metric{
		metric("system.network.io.transmit", "By", runtimeinfo.KindGauge, runtimeinfo.SubsystemSystem),
		metric("system.cpu.time.steal", "s", runtimeinfo.KindGauge, runtimeinfo.SubsystemSystem),
		metric("gmpulse.cgroup.pressure.io.time.some", "s", runtimeinfo.KindGauge, runtimeinfo.SubsystemContainer),
		metric("system.disk.operations.write", "{operation}", runtimeinfo.KindGauge, runtimeinfo.SubsystemSystem),
		metric("gmpulse.survey.cost", "s", runtimeinfo.KindGauge, runtimeinfo.SubsystemAgent),
	}
	for n := range 360 {
		v, busy := 950+float64(n%3), 0.0
		if n >= 300 && leaks {
			v += 10 * float64(n-299)
		}
		if n >= 300 {
			busy = 1e-4 // what was zero before is a little now
		}
		points := []runtimeinfo.Point{{Metric: user, Number: v}}
		for _, m := range noise {
			size := map[string]float64{"By": 1e7, "s": 1, "{operation}": 1e3}[m.Unit]
			points = append(points, runtimeinfo.Point{Metric: m, Number: busy * size})
		}
		if leaks && n >= 300 { // another process is busy too
			points[4].Number = 1e6
		}
		export(t, e, second(n, points...))
	}
	return e, second(301).Time, second(359).Time
}

// In a leak the goroutines rank first, whatever the machine does. In a healthy service
// no change has a high score.
func TestChangesRankGoroutinesFirst(t *testing.T) {
	e, from, to := ranked(t, true)
	var m moment
	call(t, e, "api/v1/moment"+query(from, to), &m)
	if c := m.Changes[0]; c.Key != "gmpulse.goroutine.user" || c.Score < 3 {
		t.Errorf("the first change is %s, score %v", c.Key, c.Score)
	}
	e, from, to = ranked(t, false)
	call(t, e, "api/v1/moment"+query(from, to), &m)
	for _, c := range m.Changes {
		if c.Score >= 3 || c.Score <= -3 {
			t.Errorf("in a healthy service %s changed, score %v", c.Key, c.Score)
		}
	}
}
