// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

type moment struct {
	From, To int64
	Before   [2]int64
	Spells   []struct {
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

// leak is a report of n goroutines that leak and three that do not.
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
			Roots: []goroutines.Root{{Name: "GET /checkout", Count: n, Examples: []runtimeinfo.Span{example}}}, Hint: "nobody receives",
		}}
	}
	return r
}

// incident is a page that has seen five calm minutes and one of a leak.
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

// The moment says what grew, where it waits, under which span, and what else was so.
func TestMoment(t *testing.T) {
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
		t.Errorf("it grew from %d to %d; it is to be compared with the time before the anomaly", g.Before, g.Count)
	}
	if len(g.Roots) != 1 || g.Roots[0].Name != "GET /checkout" || !strings.HasPrefix(g.Roots[0].Examples[0].Trace, "ab00") {
		t.Errorf("created under %+v", g.Roots)
	}
	if c := m.Changes[0]; c.Key != "total" || *c.Before > 20 || *c.During < 300 {
		t.Errorf("the first change is %+v", c)
	}
	for _, c := range m.Changes {
		if c.Key == "steady" && (c.Score > 1 || c.Score < -1) {
			t.Errorf("what did not change scores %v", c.Score)
		}
	}
	if m.Before[1] > second(303).Time.UnixMilli() {
		t.Errorf("compared with a time in the anomaly: %v", m.Before)
	}
	if len(m.Spans) != 1 || m.Spans[0].Name != "POST /order" || m.Spans[0].Trace[:4] != "0700" {
		t.Errorf("spans %+v", m.Spans)
	}
	if len(m.Spells) != 2 || len(m.Events) != 0 {
		t.Errorf("spells %+v, events %+v", m.Spells, m.Events)
	}
	for _, s := range m.Spells {
		if s.Source == "band" && (s.Subject != "goroutines" || s.Peak < 500 || s.Expected != 10 || s.To != 0) ||
			s.Source == "goroutines" && (s.Subject != "app.notify (cart.go:88)" || s.Kind != "leak") {
			t.Errorf("spell %+v", s)
		}
	}
}

// A moment before anything happened says that nothing did.
func TestACalmMoment(t *testing.T) {
	e, _, _ := incident(t, page.Config{})
	var m moment
	call(t, e, "api/v1/moment"+query(second(100).Time, second(110).Time), &m)
	if len(m.Spells) != 0 || len(m.Events) != 0 || len(m.Spans) != 1 && len(m.Spans) != 0 {
		t.Errorf("%+v", m)
	}
	for _, g := range m.Groups {
		if g.Count != g.Before {
			t.Errorf("%s grew from %d to %d", g.Site, g.Before, g.Count)
		}
	}
}

func TestSpellsEnd(t *testing.T) {
	e, _, _ := incident(t, page.Config{})
	s := second(400)
	export(t, e, s)
	var log struct {
		Spells []struct {
			Source string
			To     int64
		}
	}
	call(t, e, "api/v1/events", &log)
	for _, sp := range log.Spells {
		if sp.Source == "band" && sp.To != s.Time.UnixMilli() {
			t.Errorf("the spell ends at %d", sp.To)
		}
	}
	if len(log.Spells) != 2 {
		t.Errorf("%+v", log.Spells)
	}
}

func TestGoroutinesNow(t *testing.T) {
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

type node struct {
	N int
	V int64
	C []node
}

type flame struct {
	Type, Unit    string
	Types, Labels []string
	Total         int64
	Names         []string
	Tree          node
}

// path is the value at the end of a path through the tree, 0 where there is none.
func (f *flame) path(names ...string) int64 {
	at := f.Tree
	for _, name := range names {
		i := slices.IndexFunc(at.C, func(n node) bool { return f.Names[n.N] == name })
		if i < 0 {
			return 0
		}
		at = at.C[i]
	}
	return at.V
}

// total is the sum over all nodes of one function.
func (f *flame) total(name string) (n int64) {
	var walk func(node)
	walk = func(x node) {
		if f.Names[x.N] == name {
			n += x.V
			return
		}
		for _, c := range x.C {
			walk(c)
		}
	}
	walk(f.Tree)
	return n
}

func waitHere(c chan struct{}) { <-c }

// capture is a bundle with real profiles of this process, in which seven
// goroutines wait at one place.
func capture(t *testing.T, at time.Time) fstest.MapFS {
	t.Helper()
	stop := make(chan struct{})
	ready := make(chan struct{}, 7)
	for range 7 {
		go pprof.Do(t.Context(), pprof.Labels("root", "GET /x"), func(context.Context) {
			ready <- struct{}{}
			waitHere(stop)
		})
	}
	for range 7 {
		<-ready
	}
	defer close(stop)
	files := fstest.MapFS{
		"one/manifest.json": {Data: []byte(`{"time":"` + at.Format(time.RFC3339Nano) + `","reason":"goroutines 3.2 times expected","more":[1]}`)},
		"one/exec.trace":    {Data: []byte("go 1.26 trace")},
		"one/broken.pb.gz":  {Data: []byte("not a profile")},
		"two/notes.txt":     {Data: []byte("no manifest"), ModTime: at.Add(-time.Hour)},
		".hidden/x":         {Data: []byte("secret")},
		"stray":             {Data: []byte("a file beside the bundles")},
	}
	var all []byte
	deadline := time.Now().Add(5 * time.Second)
	for _, kind := range []string{"goroutine", "heap"} {
		for { // until all seven have begun to wait
			var b bytes.Buffer
			if err := pprof.Lookup(kind).WriteTo(&b, 0); err != nil {
				t.Fatal(err)
			}
			all = b.Bytes()
			if kind != "goroutine" || waiting(t, all) == 7 || time.Now().After(deadline) {
				break
			}
		}
		files["one/"+kind+".pb.gz"] = &fstest.MapFile{Data: all}
	}
	return files
}

func waiting(t *testing.T, profile []byte) int64 {
	t.Helper()
	e := newPage(t, page.Config{Bundles: fstest.MapFS{"b/p.pb.gz": {Data: profile}}})
	var f flame
	call(t, e, "api/v1/flame?id=b&file=p.pb.gz", &f)
	return f.total("github.com/gmpulse/gmpulse/exporters/page_test.waitHere")
}

func TestCaptures(t *testing.T) {
	from := second(0).Time
	e := newPage(t, page.Config{Bundles: capture(t, from)})
	var list struct {
		Captures []struct {
			ID, Reason string
			T          int64
			Files      []struct {
				Name, Kind, Tool string
				Size             int64
			}
			Manifest struct{ More []int }
		}
	}
	call(t, e, "api/v1/captures", &list)
	if len(list.Captures) != 2 || list.Captures[0].ID != "one" || list.Captures[0].Reason != "goroutines 3.2 times expected" ||
		list.Captures[0].T != from.UnixMilli() || list.Captures[0].Manifest.More[0] != 1 || list.Captures[1].ID != "two" {
		t.Fatalf("%+v", list)
	}
	kinds := map[string]string{}
	for _, f := range list.Captures[0].Files {
		kinds[f.Name] = f.Kind + " " + f.Tool
	}
	if kinds["goroutine.pb.gz"] != "profile go tool pprof -http=: " || kinds["exec.trace"] != "trace go tool trace " || kinds["manifest.json"] != "other " {
		t.Errorf("%q", kinds)
	}
	w := call(t, e, "api/v1/capture?id=one&file=exec.trace", nil)
	if w.Body.String() != "go 1.26 trace" || w.Header().Get("Content-Disposition") != `attachment; filename="one-exec.trace"` || w.Header().Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%q %v", w.Body, w.Header())
	}
	for _, bad := range []string{"id=..&file=stray", "id=.&file=stray", "id=one&file=../stray", "id=.hidden&file=x", "id=one%2F..&file=stray", "id=one&file=", "id=&file=stray", "id=one%5C..&file=stray"} {
		if code := call(t, e, "api/v1/capture?"+bad, nil).Code; code != http.StatusNotFound {
			t.Errorf("%s: %d", bad, code)
		}
	}
}

func TestFlameOfProfiles(t *testing.T) {
	e := newPage(t, page.Config{Bundles: capture(t, second(0).Time)})
	var f, heap, labelled flame
	call(t, e, "api/v1/flame?id=one&file=goroutine.pb.gz", &f)
	const here = "github.com/gmpulse/gmpulse/exporters/page_test.waitHere"
	if f.Type != "goroutine" || f.total(here) != 7 || f.Total < 8 || !slices.Contains(f.Labels, "root") {
		t.Errorf("%s: %d at one place of %d, labels %q", f.Type, f.total(here), f.Total, f.Labels)
	}
	call(t, e, "api/v1/flame?id=one&file=goroutine.pb.gz&label=root", &labelled)
	if labelled.path("GET /x") != 7 || labelled.path("(no root)") != f.Total-7 {
		t.Errorf("by label: %d and %d", labelled.path("GET /x"), labelled.path("(no root)"))
	}
	call(t, e, "api/v1/flame?id=one&file=heap.pb.gz&sample=1", &heap)
	if heap.Type != "alloc_space" || heap.Unit != "bytes" || len(heap.Types) != 4 {
		t.Errorf("%s in %s of %q", heap.Type, heap.Unit, heap.Types)
	}
	for path, want := range map[string]int{"id=one&file=broken.pb.gz": 422, "id=one&file=exec.trace": 404, "id=one&file=goroutine.pb.gz&sample=x": 400, "id=no&file=goroutine.pb.gz": 404} {
		if code := call(t, e, "api/v1/flame?"+path, nil).Code; code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
}

// huge is a file that says it is larger than any profile that is decoded.
type huge struct{ fstest.MapFS }

func (h huge) Open(name string) (fs.File, error) {
	f, err := h.MapFS.Open(name)
	return hugeFile{f}, err
}

type hugeFile struct{ fs.File }

func (f hugeFile) Stat() (fs.FileInfo, error) { return hugeInfo{}, nil }

type hugeInfo struct{ fs.FileInfo }

func (hugeInfo) Size() int64 { return 1 << 40 }
func (hugeInfo) IsDir() bool { return false }

func TestAProfileThatIsTooLarge(t *testing.T) {
	e := newPage(t, page.Config{Bundles: huge{fstest.MapFS{"one/cpu.pb.gz": {}}}})
	if code := call(t, e, "api/v1/flame?id=one&file=cpu.pb.gz", nil).Code; code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d", code)
	}
}

func TestIncident(t *testing.T) {
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

// One capture at a time, one in a minute, whoever asks.
func TestCaptureIsRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reasons []string
		var fails error
		e := newPage(t, page.Config{Capture: func(ctx context.Context, reason string) (string, error) {
			reasons = append(reasons, reason)
			time.Sleep(10 * time.Second)
			return "id-1", errors.Join(fails, ctx.Err())
		}})
		post := func(body string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/captures", strings.NewReader(body)))
			return w
		}
		done := make(chan *httptest.ResponseRecorder)
		go func() { done <- post(`{"reason":"a spike"}`) }()
		synctest.Wait()
		if w := post("{}"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
			t.Errorf("a second at a time: %d", w.Code)
		}
		if w := <-done; w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "id-1") || reasons[0] != "a spike" {
			t.Errorf("the first: %d %s", w.Code, w.Body)
		}
		if w := post(""); w.Code != http.StatusTooManyRequests {
			t.Errorf("too soon: %d", w.Code)
		}
		time.Sleep(time.Minute)
		fails = errors.New("disk full")
		if w := post(""); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "disk full") {
			t.Errorf("a failure: %d %s", w.Code, w.Body)
		}
		if w := post("not json"); w.Code != http.StatusBadRequest {
			t.Errorf("no JSON: %d", w.Code)
		}
		if len(reasons) != 2 {
			t.Errorf("%d captures were taken", len(reasons))
		}
	})
}

// ranked is a page that has seen five minutes of a service; during the last minute the
// goroutines are many, or as before. The machine beside it is never quiet.
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
		if leaks && n >= 300 { // a neighbour is busy too
			points[4].Number = 1e6
		}
		export(t, e, second(n, points...))
	}
	return e, second(301).Time, second(359).Time
}

// What changed in a leak are the goroutines first, whatever the machine does, and in a
// healthy service nothing.
func TestChangesAreOfTheService(t *testing.T) {
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
