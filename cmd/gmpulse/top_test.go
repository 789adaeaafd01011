// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/internal/testutil"
)

// fakePage serves the API of a page.
func fakePage(t *testing.T, service, root string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/gmpulse/api/v1/meta", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"start":%d,"to":9000,"resource":{"service.name":"%s","service.version":"v2"}}`, time.Now().Add(-time.Minute).UnixMilli(), service)
	})
	mux.HandleFunc("GET /debug/gmpulse/api/v1/history", func(w http.ResponseWriter, r *http.Request) {
		var columns []string
		for i, key := range r.URL.Query()["key"] {
			columns = append(columns, fmt.Sprintf(`%q:[null,%d]`, key, i+1))
		}
		fmt.Fprintf(w, `{"t":[8000,9000],"columns":{%s}}`, strings.Join(columns, ","))
	})
	mux.HandleFunc("GET /debug/gmpulse/api/v1/goroutines", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"verdicts":[{"site":"a.go:1","count":900,"verdict":{"kind":"leak","suspect":true,"where":"main.cart (cart.go:7)","roots":[{"name":"%s"}]}},
			{"site":"b.go:1","count":20,"verdict":{"kind":"stuck","suspect":true}},
			{"site":"c.go:1","count":70,"verdict":{"kind":"pool","suspect":false}}]}`, root)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestTop(t *testing.T) {
	page := fakePage(t, "shop", "GET /cart")
	status, out, diagnostics := gmpulse(t, "top", page.URL, strings.TrimPrefix(page.URL, "http://"), "127.0.0.1:1")
	if status != statusOK || diagnostics != "" {
		t.Errorf("status %d: %s", status, diagnostics)
	}
	for _, want := range []string{"shop", "v2", "1m0s", "900 leak at main.cart (cart.go:7) under GET /cart", "and 1 more", "connect"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") || strings.Count(out, "\n") != 4 {
		t.Errorf("not a title and three rows:\n%q", out)
	}
}

// A real page has the columns that top shows.
func TestTopReadsARealPage(t *testing.T) {
	a, err := agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithInterval(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop(t.Context())
	page := a.URL()
	end := time.Now().Add(20 * time.Second)
	for {
		status, out, diagnostics := gmpulse(t, "top", page)
		if lines := strings.Split(out, "\n"); status == statusOK && len(lines) > 1 && strings.Contains(lines[1], "MB") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("status %d: %s\n%s", status, diagnostics, out)
		}
		time.Sleep(50 * time.Millisecond)
	}
	base, err := pageURL(page)
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, key := range topColumns {
		// Some are unknown until the agent has learned.
		missing[key] = key != "gmpulse.capacity.saturation" && !strings.HasPrefix(key, "band.")
	}
	c := &pageClient{base: base}
	testutil.Retry(t, func() error { // a tick may lack a value, such as a latency that was not sampled
		s := c.read(t.Context())
		for key := range s.values {
			missing[key] = false
		}
		for key, is := range missing {
			if is {
				return fmt.Errorf("the page has no column %s", key)
			}
		}
		return nil
	})
}

func TestTopPrintsNoControlCharacters(t *testing.T) {
	const evil = `\u001b]0;pwned\u0007\u009b2J\u202e\n`
	page := fakePage(t, "shop"+evil, "GET /"+evil)
	_, out, _ := gmpulse(t, "top", page.URL)
	if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }); i >= 0 || !strings.Contains(out, "pwned") {
		t.Errorf("control characters: %q", out)
	}
}

func TestTopErrors(t *testing.T) {
	page := fakePage(t, "shop", "GET /cart")
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer sesame" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.URL.Host, r.RequestURI = page.Listener.Addr().String(), ""
		page.Config.Handler.ServeHTTP(w, r)
	}))
	defer closed.Close()
	garbage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer garbage.Close()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, statusUsage, "1 to 64 arguments"},
		{[]string{"ftp://x"}, statusUsage, "localhost:9464"},
		{[]string{"-every", "1ms", page.URL}, statusUsage, "-every"},
		{[]string{"127.0.0.1:1"}, statusFailed, "no page answers"},
		{[]string{page.URL + "/elsewhere/"}, statusFailed, "is this the address of a page?"},
		{[]string{closed.URL}, statusFailed, "use -token-file"},
		{[]string{"-token-file", "/none", closed.URL}, statusFailed, "-token-file"},
		{[]string{"-token-file", file, closed.URL}, statusOK, ""},
		{[]string{garbage.URL}, statusFailed, "is this the address of a page?"},
	} {
		status, out, diagnostics := gmpulse(t, append([]string{"top"}, c.args...)...)
		if status != c.status || !strings.Contains(diagnostics, c.want) || (out == "") != (c.status != statusOK) {
			t.Errorf("%q: status %d, %q, %q; want %d with %q", c.args, status, out, diagnostics, c.status, c.want)
		}
	}
}
