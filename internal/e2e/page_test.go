// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/exporters/page"
)

// browser returns the path of a Chromium.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	need(t, "chromium", "apt-get install chromium")
	return ""
}

// TestPageInBrowser runs browser/page.test.mjs in a Chromium. GMPULSE_SHOTS names a
// directory for screenshots.
func TestPageInBrowser(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes three minutes")
	}
	chromium := browser(t)
	need(t, "node", "apt-get install nodejs")
	if _, err := os.Stat("browser/node_modules/playwright-core"); err != nil {
		how := "npm ci --prefix internal/e2e/browser"
		if os.Getenv("CI") != "" {
			t.Fatal("playwright-core is missing: " + how)
		}
		t.Skip("playwright-core is missing: " + how)
	}
	leak := spawn(t, nil, build(t, "./examples/explosion"), "-kind=channel", "-for=300s", "-hold=900s") // the test kills it
	leakURL := leak.after(t, "page")
	calm := startAgent(t, agent.WithPage(page.Config{Bundles: bundles(t), Capture: func(context.Context, string) (string, error) { return "three", nil }}))
	cmd := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=spec", "page.test.mjs")
	cmd.Dir = "browser"
	cmd.Env = append(os.Environ(), "CALM="+calm.URL()+"debug/gmpulse/", "LEAK="+leakURL, "CHROMIUM="+chromium, "SHOTS="+os.Getenv("GMPULSE_SHOTS"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
		return
	}
	t.Logf("%s", out)
}

func startAgent(t *testing.T, opts ...agent.Option) *agent.Agent {
	t.Helper()
	a, err := agent.Start(append([]agent.Option{agent.WithListen("127.0.0.1:0"), agent.WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return a
}

// bundles returns a capture with profiles of this process.
func bundles(t *testing.T) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{"one/manifest.json": {Data: []byte(`{"time":"` + time.Now().Format(time.RFC3339) + `","reason":"goroutines 3.2 times expected"}`)}}
	for _, kind := range []string{"goroutine", "heap"} {
		var b bytes.Buffer
		if err := pprof.Lookup(kind).WriteTo(&b, 0); err != nil {
			t.Fatal(err)
		}
		files[filepath.ToSlash(filepath.Join("one", kind+".pb.gz"))] = &fstest.MapFile{Data: b.Bytes()}
	}
	return files
}

// Fifty viewers and one that does not read do not increase the median lateness of ticks.
// Phases with and without them alternate, so that both run under the same load.
func TestViewersDoNotDelayTheSampler(t *testing.T) {
	const interval = 20 * time.Millisecond
	a := startAgent(t, agent.WithInterval(interval), agent.WithPage(page.Config{Resolution: interval}))
	alone, watched := []float64{}, []float64{}
	for range 4 {
		alone = append(alone, lateness(t, a, 50)...)
		leave := watch(t, a.URL()+"debug/gmpulse/api/v1/stream", 50)
		watched = append(watched, lateness(t, a, 50)...)
		leave()
	}
	was, is := median(alone), median(watched)
	t.Logf("median lateness of %d ticks alone %.0f µs, of %d ticks watched %.0f µs: ratio %.2f", len(alone), was*1e6, len(watched), is*1e6, is/was)
	// The clients run in this process too. A tick may wait for a P behind them, but not for
	// their network.
	if least := interval.Seconds() / 10; is > 4*max(was, least) {
		t.Errorf("median lateness rose from %.0f to %.0f µs", was*1e6, is*1e6)
	}
}

// lateness returns the lateness of n ticks in seconds.
func lateness(t *testing.T, a *agent.Agent, n int) (all []float64) {
	t.Helper()
	deadline := time.After(time.Minute)
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for last := uint64(0); len(all) < n; {
		select {
		case <-deadline:
			t.Fatalf("only %d ticks in a minute", len(all))
		case <-ticker.C:
		}
		s := a.Snapshot()
		if s == nil || s.Seq == last {
			continue
		}
		last = s.Seq
		if v, ok := s.Number("gmpulse.tick.lateness"); ok {
			all = append(all, v)
		}
	}
	return all
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// watch opens n streams, and one that it does not read. It returns when each of the n has
// received a sample.
func watch(t *testing.T, url string, n int) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var wg sync.WaitGroup
	var seen atomic.Int64
	for i := range n + 1 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"?viewer="+strconv.Itoa(i), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer resp.Body.Close()
			if i == n {
				<-ctx.Done()
				return
			}
			buf := make([]byte, 32<<10)
			for first := true; ; first = false {
				if _, err := resp.Body.Read(buf); err != nil {
					if !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
						t.Error(err)
					}
					return
				}
				if first {
					seen.Add(1)
				}
			}
		})
	}
	deadline := time.Now().Add(30 * time.Second)
	for seen.Load() < int64(n) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d viewers received a sample", seen.Load(), n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return func() { cancel(); wg.Wait() }
}
