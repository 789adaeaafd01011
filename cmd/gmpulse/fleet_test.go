// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
)

// fakePrometheus answers queries with the first answer whose key the query contains.
type fakePrometheus struct {
	*httptest.Server
	answers [][2]string              // part of a query, series of the answer as JSON
	began   map[string]time.Duration // part of a range query, time of the first value before now
	answer  http.HandlerFunc         // if set, instead of answers
	warning string

	mu      sync.Mutex
	queries []string
}

// Label sets of the versions of a service.
const (
	oldShop = `"service_name":"shop","service_version":"v1"`
	newShop = `"service_name":"shop","service_version":"v2"`
)

func newFakePrometheus(t *testing.T) *fakePrometheus {
	t.Helper()
	f := &fakePrometheus{began: map[string]time.Duration{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	f.answers = [][2]string{
		{"gmpulse:version_", ""}, // no recording rules
		{"topk by", series(newShop+`,"incident_site":"main.cart (cart.go:7)","incident_root_span":"GET /cart","verdict":"leak"`, "4000")},
		{"topk(", series(newShop+`,"instance":"10.0.0.2:9464","incident_site":"main.cart (cart.go:7)","incident_root_span":"GET /cart","verdict":"leak"`, "3000") +
			"," + series(newShop+`,"instance":"10.0.0.3:9464","incident_site":"main.cart (cart.go:7)","incident_root_span":"GET /cart","verdict":"leak"`, "1000")},
		{"gmpulse_leak_suspects", series(newShop, "2")},
		{"gmpulse_goroutine_group_goroutines", series(newShop, "4000")},
		{"gmpulse_goroutines", series(oldShop, "900") + "," + series(newShop, "4100")},
		{"gmpulse_capacity_headroom", series(oldShop, "55") + "," + series(newShop, "NaN")},
		{"gmpulse_capacity_saturation", series(oldShop, "0.25")},
		{"gmpulse_anomaly", ""},
		{"target_info", series(oldShop, "9") + "," + series(newShop, "2")},
	}
	return f
}

func series(labels, value string) string {
	return fmt.Sprintf(`{"metric":{%s},"value":[1,%q]}`, labels, value)
}

func (f *fakePrometheus) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.queries...)
}

func (f *fakePrometheus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.FormValue("query")
	f.mu.Lock()
	f.queries = append(f.queries, query)
	f.mu.Unlock()
	f.mu.Lock()
	answer := f.answer
	f.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	warnings := "[]"
	if f.warning != "" {
		text, _ := json.Marshal([]string{f.warning})
		warnings = string(text)
	}
	if strings.HasSuffix(r.URL.Path, "/query_range") {
		fmt.Fprintf(w, `{"status":"success","warnings":%s,"data":{"resultType":"matrix","result":[%s]}}`, warnings, f.ranges(r, query))
		return
	}
	for _, a := range f.answers {
		if strings.Contains(query, a[0]) {
			fmt.Fprintf(w, `{"status":"success","warnings":%s,"data":{"resultType":"vector","result":[%s]}}`, warnings, a[1])
			return
		}
	}
	http.Error(w, "no answer to "+query, http.StatusTeapot)
}

// ranges answers as Prometheus does: with the values at the steps of the range.
func (f *fakePrometheus) ranges(r *http.Request, query string) string {
	number := func(name string) float64 { x, _ := strconv.ParseFloat(r.FormValue(name), 64); return x }
	start, end, step := number("start"), number("end"), number("step")
	for _, part := range []string{"gmpulse_leak_suspects", "target_info"} { // the first has the second in it
		ago, ok := f.began[part]
		if !ok || !strings.Contains(query, part) {
			continue
		}
		first := float64(time.Now().Add(-ago).UnixMilli()) / 1000
		for at := start; at <= end; at += step {
			if at >= first {
				return fmt.Sprintf(`{"metric":{%s},"values":[[%f,"1"]]}`, newShop, at)
			}
		}
		break
	}
	return ""
}

func TestFleetNamesTheVersionThatLeaks(t *testing.T) {
	f := newFakePrometheus(t)
	f.began = map[string]time.Duration{"target_info": 3 * time.Hour, "gmpulse_leak_suspects": 2 * time.Hour}
	status, out, diagnostics := gmpulse(t, "fleet", "-prometheus", f.URL, "-page", "https://page.internal/{instance}/")
	if status != statusOK || diagnostics != "" {
		t.Fatalf("status %d: %s", status, diagnostics)
	}
	for _, want := range []string{
		"shop v2: 2 of 2 instances leak goroutines", "4000 leak at main.cart (cart.go:7) under GET /cart",
		"https://page.internal/10.0.0.2:9464/", "VERSIONS", "WORST INSTANCES", "25 %", "55",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "shop v1:") || strings.Contains(out, "NaN") {
		t.Errorf("%s", out)
	}
	if i, j := strings.Index(out, "10.0.0.2"), strings.Index(out, "10.0.0.3"); i > j {
		t.Errorf("the worst instance is not the first:\n%s", out)
	}
}

// With a range of a day, the steps of the range query are six minutes apart. The time of a
// deploy must be more exact.
func TestFleetTimesAreExact(t *testing.T) {
	f := newFakePrometheus(t)
	f.began = map[string]time.Duration{"target_info": 3*time.Hour + 4*time.Minute, "gmpulse_leak_suspects": 2*time.Hour + 5*time.Minute}
	_, out, _ := gmpulse(t, "fleet", "-prometheus", f.URL, "-json")
	var r fleetReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	v := r.Versions[0]
	if v.Version != "v2" || v.FirstSeen == nil || v.LeakingSince == nil {
		t.Fatalf("%+v", v)
	}
	if late := v.FirstSeen.Sub(r.Time.Add(-f.began["target_info"])); late < 0 || late > 20*time.Second {
		t.Errorf("first seen %v late", late)
	}
	if late := v.LeakingSince.Sub(r.Time.Add(-f.began["gmpulse_leak_suspects"])); late < 0 || late > 20*time.Second {
		t.Errorf("leaking since %v late", late)
	}
}

func TestFleetSaysEarlierForWhatIsOlderThanTheRange(t *testing.T) {
	f := newFakePrometheus(t)
	f.began = map[string]time.Duration{"target_info": 30 * time.Hour, "gmpulse_leak_suspects": 30 * time.Hour}
	_, out, _ := gmpulse(t, "fleet", "-prometheus", f.URL)
	if !strings.Contains(out, "earlier") || strings.Contains(out, "since") {
		t.Errorf("%s", out)
	}
}

func TestFleetUsesRecordingRules(t *testing.T) {
	f := newFakePrometheus(t)
	f.answers[0] = [2]string{"gmpulse:version_", series(oldShop, "9")}
	if status, out, diagnostics := gmpulse(t, "fleet", "-prometheus", f.URL, "-service", `sh"op`); status != statusOK {
		t.Fatalf("%s %s", out, diagnostics)
	}
	for _, q := range f.asked() {
		if !strings.Contains(q, "topk") && !strings.Contains(q, "gmpulse:version_") {
			t.Errorf("reads every instance: %s", q)
		}
		if !strings.Contains(q, `{service_name="sh\"op"}`) {
			t.Errorf("without the service: %s", q)
		}
	}
}

func TestFleetJSONAndExitStatus(t *testing.T) {
	f := newFakePrometheus(t)
	status, out, _ := gmpulse(t, "fleet", "-prometheus", f.URL, "-json", "-fail")
	var r fleetReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != statusLeaks {
		t.Fatalf("status %d, %v", status, err)
	}
	if len(r.Versions) != 2 || r.Versions[0].Version != "v2" || r.Versions[0].Leaking != 2 || r.Versions[0].Leaked != 4000 ||
		r.Versions[0].Headroom != nil || len(r.Worst) != 2 || r.Worst[0].Root != "GET /cart" || r.Worst[0].Page != "http://10.0.0.2:9464/debug/gmpulse/" {
		t.Errorf("%s", out)
	}
	for i, a := range f.answers { // no version leaks
		if strings.HasPrefix(a[0], "topk") || a[0] == "gmpulse_leak_suspects" || a[0] == "gmpulse_goroutine_group_goroutines" {
			f.answers[i][1] = ""
		}
	}
	status, out, _ = gmpulse(t, "fleet", "-prometheus", f.URL, "-fail")
	if status != statusOK || !strings.Contains(out, "no instance leaks goroutines") || strings.Contains(out, "WORST") {
		t.Errorf("status %d\n%s", status, out)
	}
}

// A division by zero in a rule of the user must not make the report fail.
func TestFleetIgnoresInfinity(t *testing.T) {
	f := newFakePrometheus(t)
	for i, a := range f.answers {
		switch a[0] {
		case "gmpulse_capacity_headroom", "gmpulse_goroutines":
			f.answers[i][1] = series(newShop, "+Inf")
		case "topk(":
			f.answers[i][1] = series(newShop, "NaN")
		}
	}
	status, out, diagnostics := gmpulse(t, "fleet", "-prometheus", f.URL, "-json")
	if status != statusOK || !json.Valid([]byte(out)) {
		t.Errorf("status %d: %s", status, diagnostics)
	}
}

// Span names come from requests, and the answers from another machine.
func TestFleetPrintsNoControlCharacters(t *testing.T) {
	f := newFakePrometheus(t)
	const evil = `\u001b]0;pwned\u0007\u009b2J\u202e\nx`
	for i := range f.answers {
		f.answers[i][1] = strings.NewReplacer("GET /cart", "GET /"+evil, "v2", "v2"+evil, "10.0.0.2", evil).Replace(f.answers[i][1])
	}
	f.warning = "part \x1b[2J missing"
	for _, flag := range []string{"-json", "-fail"} {
		_, out, diagnostics := gmpulse(t, "fleet", flag, "-prometheus", f.URL)
		if !strings.Contains(out, "pwned") {
			t.Errorf("%s: %s%s", flag, out, diagnostics)
		}
		for _, text := range []string{out, diagnostics} {
			if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }); i >= 0 {
				t.Errorf("%s: control characters: %q", flag, text[i:min(i+20, len(text))])
			}
		}
	}
	f.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"status":"error","errorType":"bad_data","error":"%s"}`, evil)
	}
	_, _, diagnostics := gmpulse(t, "fleet", "-prometheus", f.URL)
	if i := strings.IndexFunc(diagnostics, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }); i >= 0 {
		t.Errorf("control characters: %q", diagnostics[i:])
	}
}

// Servers in front of many Prometheus answer with a warning if one of them is missing.
func TestFleetPrintsWarnings(t *testing.T) {
	f := newFakePrometheus(t)
	f.warning = "store eu-1 is unavailable"
	status, out, diagnostics := gmpulse(t, "fleet", "-prometheus", f.URL)
	if status != statusOK || strings.Count(diagnostics, f.warning) != 1 || strings.Contains(out, f.warning) {
		t.Errorf("status %d: %s\n%s", status, diagnostics, out)
	}
}

func TestFleetErrors(t *testing.T) {
	f := newFakePrometheus(t)
	fail := func(code int, body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	released := make(chan struct{})
	defer close(released)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		args   []string
		status int
		want   string
	}{
		"no address":    {nil, []string{"-prometheus", ""}, statusUsage, "http://localhost:9090"},
		"other scheme":  {nil, []string{"-prometheus", "file:///etc/passwd"}, statusUsage, "http://localhost:9090"},
		"arguments":     {nil, []string{"x"}, statusUsage, "no arguments"},
		"range":         {nil, []string{"-since", "1s"}, statusUsage, "-since"},
		"time":          {nil, []string{"-timeout", "0s"}, statusUsage, "-timeout"},
		"token":         {nil, []string{"-token-file", "/none"}, statusFailed, "-token-file"},
		"unreachable":   {nil, []string{"-prometheus", "http://127.0.0.1:1"}, statusFailed, "connect"},
		"details":       {fail(400, `{"status":"error","errorType":"bad_data","error":"many-to-many matching"}`), nil, statusFailed, "many-to-many matching"},
		"not JSON":      {fail(503, "<html>out to lunch</html>"), nil, statusFailed, "out to lunch"},
		"scalar":        {fail(200, `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`), nil, statusFailed, "a scalar, want a vector"},
		"no instances":  {fail(200, `{"status":"success","data":{"resultType":"vector","result":[]}}`), nil, statusFailed, "target_info"},
		"unauthorized":  {fail(401, "who are you"), nil, statusFailed, "401"},
		"does not end":  {func(http.ResponseWriter, *http.Request) { <-released }, []string{"-timeout", "50ms"}, statusFailed, "no answer within -timeout 50ms"},
		"hidden secret": {nil, []string{"-prometheus", "http://user:hunter2@127.0.0.1:1"}, statusFailed, "connect"},
	} {
		f.mu.Lock()
		f.answer = c.answer
		f.mu.Unlock()
		status, out, diagnostics := gmpulse(t, append([]string{"fleet", "-prometheus", f.URL}, c.args...)...)
		if status != c.status || !strings.Contains(diagnostics, c.want) || out != "" || strings.Contains(diagnostics, "hunter2") {
			t.Errorf("%s: status %d, %q, %q; want %d with %q", name, status, out, diagnostics, c.status, c.want)
		}
	}
}

// A redirect must not carry the token to another server.
func TestFleetTokenStaysWithItsServer(t *testing.T) {
	f, other := newFakePrometheus(t), newFakePrometheus(t)
	var sent, leaked string
	other.answer = func(w http.ResponseWriter, r *http.Request) {
		leaked = r.Header.Get("Authorization")
		w.WriteHeader(http.StatusBadRequest)
	}
	f.answer = func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("Authorization")
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gmpulse(t, "fleet", "-prometheus", f.URL, "-token-file", file)
	if sent != "Bearer s3cret" || leaked != "" || len(other.asked()) == 0 {
		t.Errorf("sent %q, to the other server %q after %d requests", sent, leaked, len(other.asked()))
	}
}
