// SPDX-License-Identifier: Apache-2.0

package profiling_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/exporters/internal/profiling"
	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/internal/testutil"
)

// get requests a profile, such as "heap?seconds=1".
func get(ctx context.Context, s *profiling.Server, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	name, _, _ := strings.Cut(target, "?")
	s.Serve(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/debug/gmpulse/pprof/"+target, nil), name)
	return w
}

// noSuspend is for servers without a profiler.
func noSuspend(context.Context) func() { return func() {} }

func decode(t *testing.T, w *httptest.ResponseRecorder) *profile.Profile {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("HTTP %d: %s", w.Code, w.Body)
	}
	p, err := profiles.Decode(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEachProfileIsServed(t *testing.T) {
	s := profiling.New(nil, noSuspend)
	for _, name := range profiling.Names() {
		w := get(t.Context(), s, name+"?seconds=0.2")
		if d := w.Header().Get("Content-Disposition"); !strings.Contains(d, name) {
			t.Errorf("%s: Content-Disposition %q", name, d)
		}
		if name == "trace" {
			if !bytes.HasPrefix(w.Body.Bytes(), []byte("go 1.")) {
				t.Errorf("the trace begins with %.20q", w.Body)
			}
			continue
		}
		decode(t, w)
		if name != "profile" {
			decode(t, get(t.Context(), s, name))
		}
	}
	if w := get(t.Context(), s, "goroutine?debug=1"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "TestEachProfileIsServed") {
		t.Errorf("text: HTTP %d: %s", w.Code, w.Body)
	}
}

// The CPU profile says under which root span the time was spent.
func TestCPUProfileHasLabels(t *testing.T) {
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		pprof.Do(t.Context(), pprof.Labels("gmpulse_root", "GET /cart"), func(context.Context) {
			for !stop.Load() { // uses the CPU
			}
		})
	}()
	p := decode(t, get(t.Context(), profiling.New(nil, noSuspend), "profile?seconds=1"))
	stop.Store(true)
	<-done
	var labelled, all int64
	for _, sample := range p.Sample {
		all += sample.Value[0]
		if sample.HasLabel("gmpulse_root", "GET /cart") {
			labelled += sample.Value[0]
		}
	}
	if all == 0 || labelled*2 < all {
		t.Errorf("%d of %d samples have the label", labelled, all)
	}
}

// kept keeps allocations from being optimized away.
var kept []byte

//go:noinline
func allocateBefore() { kept = make([]byte, 16<<20) }

//go:noinline
func allocateDuring() { kept = make([]byte, 16<<20) }

func TestDifferenceHasOnlyWhatCameSince(t *testing.T) {
	collect := func() { // allocations are in the profile after two collections
		for range 3 {
			runtime.GC()
		}
	}
	allocateBefore()
	collect()
	closing, answered := make(chan struct{}), make(chan *httptest.ResponseRecorder)
	go func() { answered <- get(context.Background(), profiling.New(closing, noSuspend), "allocs?seconds=60") }()
	for range 5 { // more than once, because the first profile may be taken late
		time.Sleep(100 * time.Millisecond)
		allocateDuring()
		collect()
	}
	close(closing)
	p := decode(t, <-answered)
	allocated := map[string]int64{}
	for _, sample := range p.Sample {
		for _, l := range sample.Location {
			for _, line := range l.Line {
				allocated[line.Function.Name] += sample.Value[1] // alloc_space
			}
		}
	}
	const pkg = "github.com/gmpulse/gmpulse/exporters/internal/profiling_test."
	if allocated[pkg+"allocateDuring"] < 16<<20 || allocated[pkg+"allocateBefore"] != 0 {
		t.Errorf("allocated during the profile: %d bytes, before it: %d", allocated[pkg+"allocateDuring"], allocated[pkg+"allocateBefore"])
	}
	if p.DurationNanos < 1e8 {
		t.Errorf("the profile lasts %v", time.Duration(p.DurationNanos))
	}
}

// A process has one CPU profiler and one tracer. The answer names who uses them.
func TestSecondRequestIsRefusedAndNamesTheFirst(t *testing.T) {
	for _, name := range []string{"profile", "trace"} {
		closing := make(chan struct{})
		s := profiling.New(closing, noSuspend)
		first := make(chan *httptest.ResponseRecorder)
		go func() {
			w := get(context.Background(), s, name+"?seconds=30")
			for w.Code == http.StatusConflict { // the other request was earlier
				w = get(context.Background(), s, name+"?seconds=30")
			}
			first <- w
		}()
		testutil.Eventually(t, "the second request is refused", func() bool {
			w := get(t.Context(), s, name+"?seconds=0.01")
			return w.Code == http.StatusConflict && strings.Contains(w.Body.String(), "requested by 192.0.2.1:1234") && w.Header().Get("Retry-After") != ""
		})
		close(closing) // ends the first early
		if w := <-first; w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("%s: HTTP %d, %d bytes", name, w.Code, w.Body.Len())
		}
		if w := get(t.Context(), s, name+"?seconds=0.01"); w.Code != http.StatusOK {
			t.Errorf("%s: HTTP %d afterwards: %s", name, w.Code, w.Body)
		}
	}
}

func TestApplicationKeepsTheProfiler(t *testing.T) {
	s := profiling.New(nil, noSuspend)
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		t.Fatal(err)
	}
	w := get(t.Context(), s, "profile?seconds=1")
	pprof.StopCPUProfile()
	if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "application") {
		t.Errorf("CPU: HTTP %d: %s", w.Code, w.Body)
	}
	if _, err := profiles.Decode(b.Bytes()); err != nil {
		t.Errorf("the profile of the application: %v", err)
	}
	if err := trace.Start(&b); err != nil {
		t.Fatal(err)
	}
	w = get(t.Context(), s, "trace")
	trace.Stop()
	if w.Code != http.StatusConflict || w.Header().Get("Content-Disposition") != "" {
		t.Errorf("trace: HTTP %d: %s", w.Code, w.Body)
	}
}

func TestBadRequests(t *testing.T) {
	s := profiling.New(nil, noSuspend)
	for target, want := range map[string]int{
		"profile?seconds=0": http.StatusBadRequest, "profile?seconds=301": http.StatusBadRequest, "profile?seconds=NaN": http.StatusBadRequest,
		"trace?seconds=31": http.StatusBadRequest, "heap?seconds=-1": http.StatusBadRequest, "heap?seconds=x": http.StatusBadRequest,
		"goroutine?debug=2": http.StatusBadRequest, "goroutine?debug=x": http.StatusBadRequest, "goroutine?debug=1&seconds=1": http.StatusBadRequest,
		"cmdline": http.StatusNotFound, "symbol": http.StatusNotFound, "../x": http.StatusNotFound,
	} {
		if w := get(t.Context(), s, target); w.Code != want || w.Body.Len() < 20 {
			t.Errorf("%s: HTTP %d: %s", target, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	s.Serve(w, httptest.NewRequest(http.MethodPost, "/pprof/heap", nil), "heap")
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: HTTP %d", w.Code)
	}
}

func TestNoProfileIfMemoryIsShort(t *testing.T) {
	old := debug.SetMemoryLimit(1 << 20)
	defer debug.SetMemoryLimit(old)
	for _, name := range profiling.Names() {
		if w := get(t.Context(), profiling.New(nil, noSuspend), name); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "GOMEMLIMIT") {
			t.Errorf("%s: HTTP %d: %s", name, w.Code, w.Body)
		}
	}
}

// A client that disconnects frees the profiler at once.
func TestDisconnectedClientFreesTheProfiler(t *testing.T) {
	s := profiling.New(nil, noSuspend)
	for _, name := range []string{"profile", "trace", "allocs"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("gone"))
		get(ctx, s, name+"?seconds=30")
		if w := get(t.Context(), s, name+"?seconds=0.01"); w.Code != http.StatusOK {
			t.Errorf("%s: HTTP %d: %s", name, w.Code, w.Body)
		}
	}
}

func TestIndexHasWorkingCommands(t *testing.T) {
	w := get(t.Context(), profiling.New(nil, noSuspend), "")
	body := w.Body.String()
	for _, want := range []string{`<a href="profile">`, `<a href="trace">`, "-tagroot=gmpulse_root", "http://example.com/debug/gmpulse/pprof/profile?seconds=30", "-diff_base"} {
		if !strings.Contains(body, want) {
			t.Errorf("the index lacks %s:\n%s", want, body)
		}
	}
}
