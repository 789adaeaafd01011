// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/internal/catalogue"
)

// The embedded files equal those in assets and have at most 80 KB, because a browser
// loads all of them. With -update the test writes them.
func TestPackedEqualsAssets(t *testing.T) {
	if *update {
		writePacked(t)
	}
	all := files(t, "*")
	total := 0
	for _, file := range all {
		b, err := os.ReadFile(filepath.Join("packed", file.name+".gz"))
		if err != nil || !bytes.Equal(unpacked(b), file.text) {
			t.Errorf("packed/%s.gz is not assets/%[1]s: go test ./exporters/page -update (error: %v)", file.name, err)
		}
		total += len(b)
	}
	t.Logf("%d bytes", total)
	if total > 80<<10 {
		t.Errorf("%d bytes packed, want at most 80 KB", total)
	}
	names, err := fs.Glob(os.DirFS("packed"), "*")
	if err != nil || len(names) != len(all) {
		t.Errorf("packed has %d files and assets %d: go test ./exporters/page -update (error: %v)", len(names), len(all), err)
	}
}

// writePacked writes packed. It does not touch files that differ only in how they are
// compressed.
func writePacked(t *testing.T) {
	t.Helper()
	old := map[string][]byte{}
	stale, err := filepath.Glob("packed/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stale {
		if old[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files(t, "*") {
		path := filepath.Join("packed", file.name+".gz")
		b := old[path]
		if !bytes.Equal(unpacked(b), file.text) {
			b = best(t, file.text)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func best(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpacked returns nil if b is not gzip.
func unpacked(b []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil
	}
	return text
}

func TestAssetsAreCachedAndCompressed(t *testing.T) {
	if *update {
		t.Skip("this binary embeds the files before the update")
	}
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

// Every metric that the page names is in the catalogue. A renamed metric would leave an
// empty chart.
func TestPageUsesExistingMetrics(t *testing.T) {
	var known []string
	for _, m := range catalogue.All() {
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

// Scripts do not create markup from strings: the content security policy forbids it.
func TestScriptsCreateNoMarkup(t *testing.T) {
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
