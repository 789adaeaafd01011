// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// newProfiler returns a running profiler of this process.
func newProfiler(t *testing.T, c profiler.Config) *profiler.Profiler {
	t.Helper()
	c.Logger = slog.New(slog.DiscardHandler)
	p, err := profiler.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	t.Cleanup(wg.Wait)
	t.Cleanup(cancel)
	return p
}

// burn uses a CPU under a root span until stop is called or the test ends.
func burn(t *testing.T, root string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		pprof.Do(ctx, pprof.Labels("root", root), func(ctx context.Context) {
			for ctx.Err() == nil { // uses the CPU
			}
		})
	})
	stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// getJSON requests a route below api/v1/ and returns the status and the decoded answer.
func getJSON(t *testing.T, e *page.Exporter, route string) (status int, answer map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/gmpulse/api/v1/"+route, nil))
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s: %v: %s", route, err, w.Body)
	}
	return w.Code, answer
}

// cpu has the CPU time by root span, as docs/page-api.md describes it.
func TestCPUByRootSpan(t *testing.T) {
	burn(t, "GET /busy")
	p := newProfiler(t, profiler.Config{For: 100 * time.Millisecond, Every: 200 * time.Millisecond, RootLabel: "root"})
	e := newPage(t, page.Config{Profiler: p})
	var answer map[string]any
	testutil.Eventually(t, "samples of the root span", func() bool {
		_, answer = getJSON(t, e, "cpu")
		return len(answer["roots"].([]any)) == 1
	})
	root := answer["roots"].([]any)[0].(map[string]any)
	if root["root"] != "GET /busy" || root["samples"].(float64) < 1 || root["seconds"].(float64) <= 0 {
		t.Errorf("%v", root)
	}
	if _, ok := root["error"]; !ok {
		t.Errorf("%v has no error", root)
	}
	for key, want := range map[string]float64{"every_seconds": 0.2, "profile_seconds": 0.1} {
		if answer[key] != want {
			t.Errorf("%s: %v, want %v", key, answer[key], want)
		}
	}
	if from, to := answer["from"].(float64), answer["to"].(float64); from >= to || to > float64(time.Now().UnixMilli()) {
		t.Errorf("from %v to %v", from, to)
	}
	sum := root["seconds"].(float64) + answer["unowned_seconds"].(float64) + answer["runtime_seconds"].(float64)
	if total := answer["total_seconds"].(float64); sum < 0.999*total || sum > 1.001*total || answer["observed_seconds"].(float64) > total {
		t.Errorf("the parts are %v of %v s: %v", sum, total, answer)
	}
	if status, _ := getJSON(t, e, "cpu?from=5&to=1"); status != http.StatusBadRequest {
		t.Errorf("from after to: HTTP %d", status)
	}
	if _, a := getJSON(t, e, "cpu?from=1&to=2"); a["profiles"] != 0.0 || len(a["roots"].([]any)) != 0 {
		t.Errorf("a range before the first profile: %v", a)
	}
	if _, meta := getJSON(t, e, "meta"); meta["cpu"] != true || meta["profiles"] != true {
		t.Errorf("meta: cpu %v, profiles %v", meta["cpu"], meta["profiles"])
	}
}

// Without CPU profiles the answer names the setting.
func TestCPUIsOff(t *testing.T) {
	for name, p := range map[string]*profiler.Profiler{"nil": nil, "without CPU": newProfiler(t, profiler.Config{NoCPU: true})} {
		status, answer := getJSON(t, newPage(t, page.Config{Profiler: p}), "cpu")
		if text, _ := answer["error"].(string); status != http.StatusNotFound || !strings.Contains(text, "GMPULSE_CPU_PROFILE") {
			t.Errorf("%s: HTTP %d: %v", name, status, answer)
		}
	}
}

// A requested CPU profile has priority over the profiles of the duty cycle.
func TestRequestedProfileSuspendsTheDutyCycle(t *testing.T) {
	p := newProfiler(t, profiler.Config{For: time.Second, Every: 2 * time.Second})
	e := newPage(t, page.Config{Profiler: p})
	for range 2 {
		testutil.Eventually(t, "a profile of the duty cycle is in progress", func() bool {
			if pprof.StartCPUProfile(io.Discard) != nil {
				return true
			}
			pprof.StopCPUProfile()
			return false
		})
		w := httptest.NewRecorder()
		e.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/gmpulse/pprof/profile?seconds=0.1", nil))
		if w.Code != http.StatusOK {
			t.Fatalf("HTTP %d: %s", w.Code, w.Body)
		}
	}
}
