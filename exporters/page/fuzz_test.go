// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/exporters/page"
)

// ask sends a request and checks that JSON responses are valid and that the status is no
// server error except 501 and 503.
func ask(t *testing.T, e *page.Exporter, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, r)
	if w.Code < 200 || w.Code >= 500 && w.Code != http.StatusServiceUnavailable && w.Code != http.StatusNotImplemented {
		t.Errorf("%s %s: %d %.200s", r.Method, r.URL, w.Code, w.Body)
	}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
		t.Errorf("%s %s: no JSON: %.200s", r.Method, r.URL, w.Body)
	}
	return w
}

// Every request gets a valid response.
func FuzzAPI(f *testing.F) {
	routes := []string{"meta", "history", "samples", "events", "spans", "goroutines", "moment", "flame", "captures", "capture", "incident.zip", "stream", "../x", "record"}
	for i := range routes {
		f.Add(byte(i), "from=0&to=9999999999999&n=10&since=3", "{}")
	}
	f.Add(byte(6), "from=-9223372036854775808&to=9223372036854775807", "")
	f.Add(byte(7), "id=b&file=p.pb.gz&sample=-1&label=%00", "")
	f.Add(byte(136), "", `{"reason":"x"}`)
	f.Add(byte(11), "after=1-99999999999999999999", "\x00")
	bundles := fstest.MapFS{"b/p.pb.gz": {Data: []byte("x")}, "b/manifest.json": {Data: []byte(`{"reason":"r"}`)}}
	e, _, _ := incident(f, page.Config{Bundles: bundles, Capture: func(context.Context, string) (string, error) { return "b", nil }})
	f.Fuzz(func(t *testing.T, route byte, query, body string) {
		method := http.MethodGet
		if route >= 128 {
			method = http.MethodPost
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a stream ends after what it can send at once
		r := httptest.NewRequestWithContext(ctx, method, "/api/v1/x", strings.NewReader(body))
		r.URL = &url.URL{Path: "/api/v1/" + routes[int(route%128)%len(routes)], RawQuery: query}
		r.Header.Set("Last-Event-ID", body)
		ask(t, e, r)
	})
}

// Bundles with any content can be listed, drawn and packed, or are rejected.
func FuzzBundle(f *testing.F) {
	f.Add([]byte(`{"time":"2026-01-02T03:04:05Z","reason":"grew"}`), []byte{})
	f.Add([]byte(`{"time":1}`), []byte("\x1f\x8b"))
	f.Add([]byte("\n"), plainProfile(f))
	files := fstest.MapFS{}
	e, from, to := incident(f, page.Config{Bundles: files})
	f.Fuzz(func(t *testing.T, manifest, profile []byte) {
		files["b/manifest.json"], files["b/p.pb.gz"] = &fstest.MapFile{Data: manifest, ModTime: from}, &fstest.MapFile{Data: profile}
		get := func(path string) *httptest.ResponseRecorder {
			return ask(t, e, httptest.NewRequest(http.MethodGet, "/api/v1/"+path, http.NoBody))
		}
		if w := get("captures"); w.Code != http.StatusOK {
			t.Errorf("list: %d", w.Code)
		}
		for _, more := range []string{"", "&sample=1", "&label=root"} {
			if w := get("flame?id=b&file=p.pb.gz" + more); w.Code == http.StatusOK {
				checkFlame(t, w.Body.Bytes())
			}
		}
		w := get("incident.zip" + query(from, to))
		z, err := zip.NewReader(bytes.NewReader(w.Body.Bytes()), int64(w.Body.Len()))
		if err != nil || len(z.File) == 0 {
			t.Fatalf("%d, %v", w.Code, err)
		}
		for _, file := range z.File {
			r, err := file.Open()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Errorf("%s: %v", file.Name, err)
			}
		}
	})
}

// plainProfile returns an uncompressed profile, which a fuzzer can change.
func plainProfile(f *testing.F) []byte {
	f.Helper()
	function := &profile.Function{ID: 1, Name: "f"}
	location := &profile.Location{ID: 1, Line: []profile.Line{{Function: function, Line: 7}}}
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "n", Unit: "count"}, {Type: "b", Unit: "bytes"}},
		Sample:     []*profile.Sample{{Location: []*profile.Location{location, location}, Value: []int64{3, 4}, Label: map[string][]string{"root": {"GET /"}}}},
		Location:   []*profile.Location{location},
		Function:   []*profile.Function{function},
	}
	var b bytes.Buffer
	if err := p.WriteUncompressed(&b); err != nil {
		f.Fatal(err)
	}
	return b.Bytes()
}

// checkFlame checks every node of a flame graph.
func checkFlame(t *testing.T, text []byte) {
	t.Helper()
	var g struct {
		Names []string
		Tree  *flameNode
	}
	if err := json.Unmarshal(text, &g); err != nil || g.Tree == nil {
		t.Fatalf("%v: %.200s", err, text)
	}
	var walk func(*flameNode)
	walk = func(n *flameNode) {
		if n.N < 0 || n.N >= len(g.Names) {
			t.Fatalf("name %d of %d", n.N, len(g.Names))
		}
		for _, c := range n.C {
			walk(c)
		}
	}
	walk(g.Tree)
}

type flameNode struct {
	N int
	C []*flameNode
}
