// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/runtimeinfo/sampler"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write packed instead of comparing it with assets")
	goleak.VerifyTestMain(m)
}

func newPage(t testing.TB, c page.Config) *page.Exporter {
	t.Helper()
	e, err := page.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestConformance(t *testing.T) {
	exporttest.Run(t, func(t *testing.T) exporters.Exporter {
		t.Helper()
		return newPage(t, page.Config{})
	})
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]page.Config{
		"Resolution":      {Resolution: time.Millisecond},
		"CaptureInterval": {CaptureInterval: -1},
		"TraceURL":        {TraceURL: "javascript:alert('{trace_id}')"},
		"Assets":          {Assets: os.DirFS(t.TempDir())},
	} {
		if _, err := page.New(c); err == nil || !strings.Contains(err.Error(), "Config."+name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, bad := range []string{"http://me:secret@jaeger/", "ftp://me:secret@jaeger/{trace_id}", "http://me:sec ret@jaeger/{trace_id}", "http://jaeger/?secret", "http://me:secret@jae ger/{trace_id}"} {
		if _, err := page.New(page.Config{TraceURL: bad}); err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "ret@") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
	for _, good := range []string{"", "http://localhost:16686/trace/{trace_id}", "https://grafana/explore?t={trace_id}&s={span_id}"} {
		if _, err := page.New(page.Config{TraceURL: good}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

// second returns the n-th of a run of snapshots a second apart.
func second(n int, points ...runtimeinfo.Point) *runtimeinfo.Snapshot {
	s := runtimeinfo.NewSnapshot(points...)
	s.Seq = uint64(n)
	s.Time = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
	s.Start = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	s.Resource = []runtimeinfo.Attr{{Key: "service.name", Value: "app"}}
	return s
}

func export(t testing.TB, e *page.Exporter, s *runtimeinfo.Snapshot) {
	t.Helper()
	if err := e.Export(context.Background(), s); err != nil {
		t.Fatal(err)
	}
}

// call asks the handler and decodes its JSON.
func call(t testing.TB, e *page.Exporter, path string, into any) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/any/prefix/"+path, http.NoBody))
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s: %v: %.200s", path, err, w.Body)
		}
	}
	return w
}

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

// Values that come from a host pass every ten seconds have one rate for all ten.
func TestRatesOfTheHostPass(t *testing.T) {
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

func TestTheClockJumps(t *testing.T) {
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

// A million goroutines, a thousand names, random numbers: what the page keeps
// stays below 2 MB.
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
	before := heap()
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
	used := heap() - before
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

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What a live agent's numbers take is well below what they may.
func TestAnHourOfARealSnapshotFits(t *testing.T) {
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

func TestHeaders(t *testing.T) {
	e := newPage(t, page.Config{})
	for _, path := range []string{"", "main.js", "api/v1/meta", "nosuch.js", "api/v1/nosuch"} {
		h := call(t, e, path, nil).Header()
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "require-trusted-types-for 'script'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%q: policy %q", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%q: headers %v", path, h)
		}
	}
}

func TestRoutes(t *testing.T) {
	e := newPage(t, page.Config{})
	for _, tt := range []struct {
		method, path string
		code         int
		is           string
	}{
		{"GET", "/", 200, "text/html"},
		{"GET", "/debug/gmpulse/", 200, "text/html"},
		{"HEAD", "/debug/gmpulse/", 200, "text/html"},
		{"GET", "/a/b/c/main.js", 200, "text/javascript"},
		{"GET", "/a/page.css", 200, "text/css"},
		{"GET", "/a/icon.svg", 200, "image/svg"},
		{"GET", "/a/nosuch.png", 404, "application/json"},
		{"GET", "/debug/gmpulse", 301, ""},
		{"POST", "/debug/gmpulse/", 405, "application/json"},
		{"GET", "/x/api/v1/meta", 200, "application/json"},
		{"DELETE", "/x/api/v1/meta", 405, "application/json"},
		{"GET", "/x/api/v1/nosuch", 404, "application/json"},
		{"GET", "/x/api/v1/history?from=soon", 400, "application/json"},
		{"GET", "/x/api/v1/moment?from=9&to=8", 400, "application/json"},
		{"GET", "/x/api/v1/capture?id=a&file=b", 404, "application/json"},
		{"POST", "/x/api/v1/captures", 501, "application/json"},
		{"GET", "/x/api/v1/flame", 404, "application/json"},
	} {
		w := httptest.NewRecorder()
		e.Handler().ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, http.NoBody))
		if w.Code != tt.code || !strings.HasPrefix(w.Header().Get("Content-Type"), tt.is) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, w.Code, w.Header().Get("Content-Type"))
		}
	}
	w := httptest.NewRecorder()
	http.StripPrefix("/debug/gmpulse", e.Handler()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug/gmpulse", http.NoBody))
	if w.Code != 301 || w.Header().Get("Location") != "./gmpulse/" {
		t.Errorf("without a slash: %d %q", w.Code, w.Header().Get("Location"))
	}
}

// Nobody is sent away from this server, whatever the path looks like to a browser.
func TestRedirectsStayHere(t *testing.T) {
	e := newPage(t, page.Config{})
	for _, path := range []string{"/debug/gmpulse", "//evil", "/a/http:2130706433", "/a/javascript:alert(1)", `/a/\\evil`} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RequestURI, r.URL.Path = path, path
		e.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusMovedPermanently {
			t.Errorf("%s: %d", path, w.Code)
			continue
		}
		to, err := url.Parse(w.Header().Get("Location"))
		if err != nil || to.IsAbs() || to.Host != "" || to.Opaque != "" {
			t.Errorf("%s: sent to %q: %v", path, w.Header().Get("Location"), err)
		}
	}
}

func TestAssetsAreSentOnce(t *testing.T) {
	e := newPage(t, page.Config{})
	r := httptest.NewRequest(http.MethodGet, "/main.js", http.NoBody)
	plain := httptest.NewRecorder()
	e.Handler().ServeHTTP(plain, r)
	r.Header.Set("Accept-Encoding", "br;q=1, gzip;q=0.8")
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, r)
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(z)
	want, _ := os.ReadFile("assets/main.js")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d: %v", len(got), len(want), err)
	}
	if !bytes.Equal(plain.Body.Bytes(), want) || plain.Header().Get("ETag") == w.Header().Get("ETag") {
		t.Errorf("plain: %d bytes, want %d; ETag %s, as compressed", plain.Body.Len(), len(want), plain.Header().Get("ETag"))
	}
	r.Header.Set("If-None-Match", w.Header().Get("ETag"))
	again := httptest.NewRecorder()
	e.Handler().ServeHTTP(again, r)
	if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("again: %d, %d bytes", again.Code, again.Body.Len())
	}
}

type asset struct {
	name string
	text []byte
}

func files(t *testing.T, pattern string) (all []asset) {
	t.Helper()
	names, err := fs.Glob(os.DirFS("assets"), pattern)
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join("assets", n))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, asset{n, b})
	}
	return all
}

// Every metric that the page names is one of the catalogue: a renamed metric
// must not leave an empty chart.
func TestThePageNamesMetricsThatExist(t *testing.T) {
	var known []string
	for _, m := range sampler.Catalogue() {
		known = append(known, m.Key())
	}
	known = append(known, "process.pid", "process.runtime.version") // of the resource
	quoted := regexp.MustCompile(`'((?:gmpulse|go|process|system)\.[a-z0-9_.]+)(\{?\*?)'`)
	found := 0
	for _, f := range files(t, "*.js") {
		for _, m := range quoted.FindAllStringSubmatch(string(f.text), -1) {
			found++
			open := strings.HasSuffix(m[2], "*") && m[2] != "{*"
			if !slices.ContainsFunc(known, func(k string) bool { return k == m[1] || open && strings.HasPrefix(k, m[1]) }) {
				t.Errorf("%s names %q, which is not in the catalogue", f.name, m[0])
			}
		}
	}
	if found < 80 {
		t.Errorf("only %d names found: the expression is wrong", found)
	}
}

// Markup in strings would need a Trusted Types policy, and inline styles are
// refused by the page's policy.
func TestTheScriptsMakeNoMarkup(t *testing.T) {
	for _, f := range files(t, "*.js") {
		if f.name == "uplot.min.js" {
			continue
		}
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "http://", "https://"} {
			if bytes.Contains(bytes.ReplaceAll(f.text, []byte("http://www.w3.org/2000/svg"), nil), []byte(bad)) {
				t.Errorf("%s has %s", f.name, bad)
			}
		}
	}
}

func TestEveryTextHasBothLanguages(t *testing.T) {
	words, err := os.ReadFile("assets/i18n.js")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(words), "const words = {")
	block, _, _ = strings.Cut(block, "\n};")
	pairs := regexp.MustCompile(`'([a-zA-Z0-9._-]+)': \['((?:[^'\\]|\\.)*)', '((?:[^'\\]|\\.)*)'\]`).FindAllStringSubmatch(block, -1)
	keys := map[string]bool{}
	place := regexp.MustCompile(`\{\w+\}`)
	for _, p := range pairs {
		if keys[p[1]] {
			t.Errorf("%s stands twice", p[1])
		}
		keys[p[1]] = true
		en, zh := place.FindAllString(p[2], -1), place.FindAllString(p[3], -1)
		slices.Sort(en)
		slices.Sort(zh)
		if !slices.Equal(en, zh) || (p[2] == "") != (p[3] == "") {
			t.Errorf("%s: %q and %q do not agree", p[1], p[2], p[3])
		}
	}
	if n := strings.Count(block, "': ["); n != len(pairs) || n < 100 {
		t.Errorf("%d of %d texts understood", len(pairs), n)
	}
	used := regexp.MustCompile(`\bt\('([a-zA-Z0-9.-]+)'[,)]`)
	for _, f := range files(t, "*.js") {
		for _, m := range used.FindAllStringSubmatch(string(f.text), -1) {
			if !keys[m[1]] {
				t.Errorf("%s says %q, which has no text", f.name, m[1])
			}
		}
	}
}

func TestAbsentIsNull(t *testing.T) {
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

// A number that the history has no room for, as an application's own gauge may have one,
// does not take the comparison of all others with it.
func TestAMomentWithAHugeNumber(t *testing.T) {
	e := newPage(t, page.Config{})
	m, n := gauge("huge"), 0
	for ; n < 90; n++ {
		export(t, e, second(n, runtimeinfo.Point{Metric: m, Number: math.MaxFloat64}, runtimeinfo.Point{Metric: gauge("other"), Number: 1}))
	}
	var got moment
	call(t, e, "api/v1/moment"+query(second(60).Time, second(80).Time), &got)
	if len(got.Changes) != 1 || got.Changes[0].Key != "other" {
		t.Errorf("%+v", got.Changes)
	}
}
