// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

type history struct {
	Seq     uint64
	T       []int64
	Columns map[string][]*float64
}

func gauge(key string) *runtimeinfo.Metric {
	return &runtimeinfo.Metric{Name: key, Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemUser}
}

func TestHistoryKeepsAnHourAndThinsTheRest(t *testing.T) {
	e := newPage(t, page.Config{})
	m, counter := gauge("g"), gauge("c")
	counter.Kind = runtimeinfo.KindCounter
	const hours = 3 * 3600
	for n := range hours {
		v := float64(n % 1000)
		if n == 1800 {
			v = 1e6 // a peak of one second, long ago
		}
		export(t, e, second(n, runtimeinfo.Point{Metric: m, Number: v}, runtimeinfo.Point{Metric: counter, Number: float64(7 * n)}))
	}
	var h history
	call(t, e, "api/v1/history?key=g&key=c&key=nosuch", &h)
	if len(h.Columns) != 2 || len(h.Columns["g"]) != len(h.T) {
		t.Fatalf("%d columns, %d of %d values", len(h.Columns), len(h.Columns["g"]), len(h.T))
	}
	fine := 0
	for i := 1; i < len(h.T); i++ {
		if h.T[i] <= h.T[i-1] {
			t.Fatalf("time goes back at %d", i)
		}
		if h.T[i]-h.T[i-1] == 1000 {
			fine++
		}
	}
	if fine < 3600-1200 || h.T[0] != second(0).Time.UnixMilli() {
		t.Errorf("%d rows a second apart, the oldest %v", fine, time.UnixMilli(h.T[0]).UTC())
	}
	if !slices.ContainsFunc(h.Columns["g"], func(v *float64) bool { return v != nil && *v == 1e6 }) {
		t.Error("the peak of one second is gone")
	}
	if last := h.Columns["c"][len(h.T)-1]; last == nil || *last != 7 {
		t.Errorf("the counter's rate is %v, want 7 a second", last)
	}
	if last := h.Columns["g"][len(h.T)-1]; *last != (hours-1)%1000 {
		t.Errorf("the newest value is %v", *last)
	}
}

// Counters that the host pass reads every ten seconds keep their rate until the next pass.
func TestHostRatesLastUntilTheNextPass(t *testing.T) {
	e := newPage(t, page.Config{})
	cpu := gauge("cpu")
	cpu.Kind, cpu.Subsystem = runtimeinfo.KindCounter, runtimeinfo.SubsystemProcess
	for n := range 35 {
		export(t, e, second(n, runtimeinfo.Point{Metric: cpu, Number: float64(n / 10 * 5)}))
	}
	var h history
	call(t, e, "api/v1/history", &h)
	for i := 20; i < 35; i++ {
		if v := h.Columns["cpu"][i]; v == nil || *v != 0.5 {
			t.Errorf("row %d: %v, want 0.5 a second", i, v)
		}
	}
}

func TestTimesAscendWhenTheClockJumps(t *testing.T) {
	e := newPage(t, page.Config{})
	m := gauge("g")
	start := time.Now()
	at := func(d time.Duration) *runtimeinfo.Snapshot {
		s := second(1, runtimeinfo.Point{Metric: m, Number: 1})
		s.Time = start.Add(d)
		return s
	}
	for _, seconds := range []int{0, 1, 2, -3600, -3599, 3, 4, 7200, 7201} {
		export(t, e, at(time.Duration(seconds)*time.Second))
	}
	var h history
	call(t, e, "api/v1/history", &h)
	if !slices.IsSorted(h.T) || len(h.T) != 7 {
		t.Errorf("times %v, want seven that ascend", h.T)
	}
}

// With a million goroutines, a thousand names and random numbers, the page keeps less
// than 2 MB.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("fills the history")
	}
	r := rand.New(rand.NewPCG(1, 2))
	metrics := make([]*runtimeinfo.Metric, 200)
	for i := range metrics {
		metrics[i] = gauge("metric." + string(rune('a'+i%26)) + strings.Repeat("x", i/26))
	}
	labelled := gauge("labelled")
	labelled.Keys = []string{"name"}
	var report goroutines.Report
	e := newPage(t, page.Config{Goroutines: func() goroutines.Report { return report }})
	before := testutil.HeapAlloc()
	for n := range 3600 {
		points := make([]runtimeinfo.Point, 0, 300)
		for _, m := range metrics {
			points = append(points, runtimeinfo.Point{Metric: m, Number: r.Float64() * 1e6})
		}
		for i := range 100 {
			points = append(points, runtimeinfo.Point{Metric: labelled, Labels: []string{name(n + i)}, Number: float64(r.IntN(100))})
		}
		s := second(n, points...)
		for i := range runtimeinfo.MaxSpans {
			sp := runtimeinfo.Span{Name: name(n + i), Start: s.Time}
			for b := range sp.SpanID {
				sp.SpanID[b] = byte(r.Uint32())
			}
			s.Spans = append(s.Spans, sp)
		}
		s.Events = []runtimeinfo.Event{{Time: s.Time, Name: "e", Message: strings.Repeat("m", 3000), Attrs: []slog.Attr{slog.String("a", strings.Repeat("v", 3000))}}}
		if n%5 == 0 {
			report = survey(n, s.Time)
		}
		export(t, e, s)
	}
	report = goroutines.Report{}
	used := testutil.HeapAlloc() - before
	runtime.KeepAlive(e)
	t.Logf("%d KB", used>>10)
	if used > 2<<20 {
		t.Errorf("%d KB, want less than 2 MB", used>>10)
	}
}

func name(n int) string {
	return "GET /app/item/" + string(rune('a'+n%26)) + string(rune('a'+n/26%26))
}

func survey(n int, at time.Time) goroutines.Report {
	s := &goroutines.Survey{Time: at, Goroutines: 1e6}
	for i := range 200 {
		site := goroutines.Site{Function: name(n*7 + i), File: "/src/app/" + name(i), Line: n + i}
		g := goroutines.Group{Key: goroutines.Key{Class: goroutines.ChanSend, Site: site, Entry: "main.f"}, Count: 1000 + i}
		for range 32 {
			g.Stack = append(g.Stack, site)
		}
		for b := range 20 {
			g.Origins = append(g.Origins, goroutines.Origin{Root: name(b), Count: 1})
		}
		s.Groups = append(s.Groups, g)
	}
	return goroutines.Report{Survey: s, Verdicts: []goroutines.Verdict{{Kind: goroutines.Leak, Key: s.Groups[3].Key, Since: at, Count: 7}}}
}

// The history holds an hour of a real agent's numbers.
func TestHistoryHoldsAnHourOfRealSnapshots(t *testing.T) {
	e := newPage(t, page.Config{})
	reader := sampler.NewReader(sampler.Config{})
	start := time.Now()
	for n := range 3700 {
		at := start.Add(time.Duration(n) * time.Second)
		reader.Pulse(0)
		reader.Read(sampler.Tick{Time: at})
		s := *reader.Snapshot()
		s.Time = at
		export(t, e, &s)
	}
	var m struct {
		From, To int64
		Bytes    int `json:"history_bytes"`
		Columns  []string
	}
	call(t, e, "api/v1/meta", &m)
	t.Logf("%d columns, %d KB", len(m.Columns), m.Bytes>>10)
	if m.To-m.From < 3600e3 {
		t.Errorf("only %d s are kept", (m.To-m.From)/1000)
	}
}

func TestAbsentNumbersAreNull(t *testing.T) {
	e := newPage(t, page.Config{})
	m := gauge("g")
	for n, v := range []float64{1, math.NaN(), 1.5, math.Inf(1)} {
		export(t, e, second(n, runtimeinfo.Point{Metric: m, Number: v}))
	}
	w := call(t, e, "api/v1/history", nil)
	if !strings.Contains(w.Body.String(), `"g":[1,null,1.5,null]`) {
		t.Errorf("%s", w.Body)
	}
}
