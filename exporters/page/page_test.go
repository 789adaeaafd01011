// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"context"
	"encoding/json"
	"flag"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

var update = flag.Bool("update", false, "write packed instead of comparing it with assets")

func TestMain(m *testing.M) {
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

func TestNewRejectsInvalidConfigs(t *testing.T) {
	for name, c := range map[string]page.Config{
		"Resolution": {Resolution: time.Millisecond},
		"TraceURL":   {TraceURL: "javascript:alert('{trace_id}')"},
		"Assets":     {Assets: os.DirFS(t.TempDir())},
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

// second returns the n-th of a series of snapshots that are a second apart.
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

// call sends a GET request and decodes the JSON response into into, unless it is nil.
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

func TestResponsesHaveSecurityHeaders(t *testing.T) {
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

// Redirects lead to the same server, whatever a browser makes of the path.
func TestRedirectsAreRelative(t *testing.T) {
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

// A number that a float32 cannot hold, which an application's gauge may have, does not
// affect the comparison of others.
func TestMomentIgnoresHugeNumbers(t *testing.T) {
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
