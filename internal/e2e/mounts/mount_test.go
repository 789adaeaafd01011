// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/google/pprof/profile"
	"github.com/labstack/echo/v5"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// mounts returns functions that mount the page and return the address of its root.
func mounts() map[string]func(t *testing.T, h http.Handler) string {
	return map[string]func(t *testing.T, h http.Handler) string{
		"net/http": func(t *testing.T, h http.Handler) string {
			mux := http.NewServeMux()
			mux.Handle("/debug/gmpulse/", h)
			return serve(t, mux) + "/debug/gmpulse/"
		},
		"net/http, stripped": func(t *testing.T, h http.Handler) string {
			mux := http.NewServeMux()
			mux.Handle("/ops/", http.StripPrefix("/ops", h))
			return serve(t, mux) + "/ops/"
		},
		"gin": func(t *testing.T, h http.Handler) string {
			gin.SetMode(gin.ReleaseMode)
			r := gin.New()
			r.Any("/debug/gmpulse/*path", gin.WrapH(h))
			return serve(t, r) + "/debug/gmpulse/"
		},
		"chi, with compression": func(t *testing.T, h http.Handler) string {
			r := chi.NewRouter()
			r.Use(middleware.Compress(5))
			r.Mount("/debug/gmpulse", h)
			return serve(t, r) + "/debug/gmpulse/"
		},
		"echo": func(t *testing.T, h http.Handler) string {
			r := echo.New()
			r.Any("/debug/gmpulse/*", echo.WrapHandler(h))
			return serve(t, r) + "/debug/gmpulse/"
		},
		"fiber": func(t *testing.T, h http.Handler) string {
			app := fiber.New()
			app.All("/debug/gmpulse/*", adaptor.HTTPHandler(h))
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true}) // it fails when the test shuts it down
			}()
			t.Cleanup(func() {
				_ = app.ShutdownWithTimeout(2 * time.Second) // disconnects open streams
				<-done
			})
			return "http://" + l.Addr().String() + "/debug/gmpulse/"
		},
	}
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.WriteTimeout = 700 * time.Millisecond
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL
}

// The page, its files, API and stream work in every framework under any prefix, and POST
// requests of other sites are rejected.
func TestPageWorksInFrameworks(t *testing.T) {
	for name, mount := range mounts() {
		t.Run(name, func(t *testing.T) {
			e, err := page.New(page.Config{Resolution: 10 * time.Millisecond, Capture: func(context.Context, string) (string, error) { return "id", nil }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = e.Shutdown(context.Background()) }) // before the server, which waits for streams
			root := mount(t, e.Handler())
			sample(t, e, 1)
			if r, body := get(t, root, nil); r.StatusCode != http.StatusOK || !strings.Contains(body, `src="main.js"`) || r.Header.Get("Content-Security-Policy") == "" {
				t.Errorf("the page: %d, %v", r.StatusCode, r.Header)
			}
			if r, body := get(t, root+"main.js", nil); r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/javascript") || !strings.Contains(body, "import ") {
				t.Errorf("main.js: %d, %v", r.StatusCode, r.Header)
			}
			var h struct{ Columns map[string][]float64 }
			if _, body := get(t, root+"api/v1/history?key=g", nil); json.Unmarshal([]byte(body), &h) != nil || len(h.Columns["g"]) != 1 {
				t.Errorf("history: %s", body)
			}
			if r, _ := get(t, root+"nosuch.js", nil); r.StatusCode != http.StatusNotFound {
				t.Errorf("nosuch.js: %d", r.StatusCode)
			}
			foreign := func(r *http.Request) { r.Method = http.MethodPost; r.Header.Set("Sec-Fetch-Site", "cross-site") }
			if r, _ := get(t, root+"api/v1/captures", foreign); r.StatusCode != http.StatusForbidden {
				t.Errorf("another site's POST: %d", r.StatusCode)
			}
			own := func(r *http.Request) { r.Method = http.MethodPost }
			if r, body := get(t, root+"api/v1/captures", own); r.StatusCode != http.StatusOK || !strings.Contains(body, `"id"`) {
				t.Errorf("our own POST: %d %s", r.StatusCode, body)
			}
			profiles(t, root)
			stream(t, e, root)
		})
	}
}

// profiles checks that profiles are complete, also those that take longer than the server's WriteTimeout.
func profiles(t *testing.T, root string) {
	t.Helper()
	for _, name := range []string{"goroutine", "heap?seconds=1.2", "profile?seconds=1.2"} {
		r, body := get(t, root+"pprof/"+name, nil)
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", name, r.StatusCode, body)
			continue
		}
		if p, err := profile.ParseData([]byte(body)); err != nil || len(p.SampleType) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, body := get(t, root+"pprof/", nil); r.StatusCode != http.StatusOK || !strings.Contains(body, root+"pprof/profile?seconds=30") {
		t.Errorf("the index: %d without the address %s", r.StatusCode, root)
	}
}

// stream checks that a stream lasts longer than the server's WriteTimeout.
func stream(t *testing.T, e *page.Exporter, root string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, root+"api/v1/stream", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/event-stream") {
		t.Fatalf("the stream is %q, %d", got, resp.StatusCode)
	}
	lines := bufio.NewScanner(resp.Body)
	next := func(prefix string) {
		t.Helper()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), prefix) {
				return
			}
		}
		t.Fatalf("the stream ended without %q: %v", prefix, lines.Err())
	}
	next("retry: ")
	began := time.Now()
	for n := 2; time.Since(began) < 1200*time.Millisecond; n++ {
		time.Sleep(50 * time.Millisecond) // more than the page's resolution
		sample(t, e, n)
		next(`data: {"t":`)
	}
}

func client() *http.Client { return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} }

func get(t *testing.T, url string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func sample(t *testing.T, e *page.Exporter, n int) {
	t.Helper()
	m := &runtimeinfo.Metric{Name: "g", Kind: runtimeinfo.KindGauge}
	s := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: m, Number: float64(n)})
	s.Time = time.Now()
	if err := e.Export(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}
