// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func at(n int) *runtimeinfo.Snapshot {
	return second(n, runtimeinfo.Point{Metric: gauge("g"), Number: float64(n)})
}

func TestStreamSendsEachSampleOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newPage(t, page.Config{})
		export(t, e, at(1))
		v := newViewer()
		leave := watch(t, e, v, "")
		defer leave()
		first := v.take()
		if v.header.Get("Content-Type") != "text/event-stream; charset=utf-8" || !strings.HasPrefix(first, "retry: ") || strings.Contains(first, "\nid:") {
			t.Errorf("a new viewer is sent %q", first)
		}
		export(t, e, at(2))
		synctest.Wait()
		second := v.take()
		for _, want := range []string{"event: columns\ndata: [\"g\"]\n\n", "-2\ndata: {\"t\":", `"v":[2]`, `"now":{`} {
			if !strings.Contains(second, want) {
				t.Errorf("the second sample lacks %q: %q", want, second)
			}
		}
		export(t, e, at(3))
		synctest.Wait()
		if third := v.take(); strings.Contains(third, "event: columns") || !strings.Contains(third, `"v":[3]`) || strings.Count(third, "\nid: ")+strings.Count(third[:4], "id: ") != 1 {
			t.Errorf("the third sample: %q", third)
		}
	})
}

func TestStreamResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newPage(t, page.Config{})
		for n := range 1000 {
			s := at(n + 1)
			if n == 995 {
				s.Events = []runtimeinfo.Event{{Time: s.Time, Name: "missed"}}
			}
			export(t, e, s)
		}
		var m viewers
		call(t, e, "api/v1/meta", &m)
		for id, want := range map[string][]string{
			m.Boot + "-990":   {`"v":[991]`, `"v":[1000]`, `"name":"missed"`},
			m.Boot + "-1000":  nil,
			m.Boot + "-5":     {"event: reset"},
			m.Boot + "-99999": nil, // not of this process
			"other-990":       nil,
			"nonsense":        nil,
		} {
			v := newViewer()
			leave := watch(t, e, v, id)
			got := v.take()
			leave()
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("after %s it lacks %s: %.300q", id, w, got)
				}
			}
			if want == nil && strings.Contains(got, "data:") || strings.Contains(got, `"v":[990]`) {
				t.Errorf("after %s it sends %.300q", id, got)
			}
		}
	})
}

func TestStreamSendsHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newPage(t, page.Config{})
		v := newViewer()
		leave := watch(t, e, v, "")
		v.take()
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if n := strings.Count(v.take(), ": still here\n\n"); n != 2 {
			t.Errorf("%d heartbeats in 31 s", n)
		}
		leave()
		var m viewers
		call(t, e, "api/v1/meta", &m)
		if m.Viewers != 0 || m.Cut != 0 {
			t.Errorf("afterwards: %+v", m)
		}
	})
}

// A viewer that does not read delays neither samples nor other viewers. After its deadline
// it is disconnected and counted.
func TestStalledViewerIsDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newPage(t, page.Config{})
		slow, quick := newViewer(), newViewer()
		leaveSlow, leaveQuick := watch(t, e, slow, ""), watch(t, e, quick, "")
		defer leaveQuick()
		slow.stall()
		began := time.Now()
		for n := range 60 {
			export(t, e, at(n+1))
			synctest.Wait()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("samples waited %v for a viewer", took)
		}
		if got := quick.take(); strings.Count(got, `"v":[`) != 60 {
			t.Errorf("the other viewer saw %d of 60 samples", strings.Count(got, `"v":[`))
		}
		time.Sleep(11 * time.Second)
		leaveSlow()
		var m viewers
		call(t, e, "api/v1/meta", &m)
		if m.Viewers != 1 || m.Cut != 1 {
			t.Errorf("afterwards: %+v, want one viewer and one disconnected", m)
		}
	})
}

func TestViewersAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newPage(t, page.Config{})
		for range 128 {
			defer watch(t, e, newViewer(), "")()
		}
		w := httptest.NewRecorder()
		e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/stream", http.NoBody))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("viewer 129: %d", w.Code)
		}
	})
}

func TestShutdownEndsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newPage(t, page.Config{})
		v := newViewer()
		leave := watch(t, e, v, "")
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := v.take(); !strings.Contains(got, "event: bye") {
			t.Errorf("it says %q", got)
		}
		leave()
		w := httptest.NewRecorder()
		e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/stream", http.NoBody))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("a stream after Shutdown: %d", w.Code)
		}
		if code := call(t, e, "api/v1/history", nil).Code; code != http.StatusOK {
			t.Errorf("the past after Shutdown: %d", code)
		}
	})
}

// On servers that cannot flush, the page polls.
func TestSamplesCanBePolled(t *testing.T) {
	e := newPage(t, page.Config{})
	export(t, e, at(1))
	h := http.TimeoutHandler(e.Handler(), time.Minute, "")
	ask := func(path string, into any) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		if into != nil {
			if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
		}
		return w.Code
	}
	var refusal struct{ Error string }
	if code := ask("/api/v1/stream", &refusal); code != http.StatusNotImplemented || !strings.Contains(refusal.Error, "api/v1/samples") {
		t.Errorf("the stream: %d %q", code, refusal.Error)
	}
	type answer struct {
		Reset   bool
		ID      string
		Columns []string
		Samples []struct {
			ID   string
			Data struct{ V []float64 }
		}
	}
	var first, next answer
	ask("/api/v1/samples", &first)
	if len(first.Samples) != 0 || first.Reset || first.ID == "" {
		t.Errorf("first %+v", first)
	}
	export(t, e, at(2))
	export(t, e, at(3))
	ask("/api/v1/samples?after="+first.ID, &next)
	if len(next.Samples) != 2 || next.Samples[1].Data.V[0] != 3 || next.ID != next.Samples[1].ID || next.Columns[0] != "g" {
		t.Errorf("next %+v", next)
	}
	for n := range 700 {
		export(t, e, at(n+4))
	}
	ask("/api/v1/samples?after="+first.ID, &next)
	if !next.Reset {
		t.Error("no reset after 700 missed samples")
	}
}

// ReadTimeout and WriteTimeout of the server do not end the stream.
func TestStreamOutlivesServerTimeouts(t *testing.T) {
	e := newPage(t, page.Config{Resolution: 10 * time.Millisecond})
	const timeout = 150 * time.Millisecond
	srv := httptest.NewUnstartedServer(e.Handler())
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = timeout, timeout
	srv.Start()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/api/v1/stream", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "retry: ") { // from now on it is sent every sample
		t.Fatalf("it begins with %q", lines.Text())
	}
	began := time.Now()
	for n := 1; time.Since(began) < 3*timeout; n++ {
		s := at(n)
		s.Time = time.Now()
		export(t, e, s)
		for !strings.HasPrefix(lines.Text(), "data: {") {
			if !lines.Scan() {
				t.Fatalf("the stream ended after %v: %v", time.Since(began), lines.Err())
			}
		}
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		time.Sleep(timeout / 10)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // to its end
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream ends with %v", err)
	}
	srv.CloseClientConnections()
}

// The first viewer after a time without viewers does not count as slow.
func TestFirstViewerAfterAPauseIsNotSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newPage(t, page.Config{})
		n := 0
		pass := func(seconds int) {
			for range seconds {
				n++
				export(t, e, at(n))
				synctest.Wait()
			}
		}
		pass(1)
		leave := watch(t, e, newViewer(), "")
		pass(2)
		leave()
		pass(100)
		early, late := newViewer(), newViewer()
		defer watch(t, e, early, "")()
		pass(1)
		defer watch(t, e, late, "")()
		pass(1)
		var m viewers
		call(t, e, "/api/v1/meta", &m)
		if m.Viewers != 2 || m.Cut != 0 {
			t.Errorf("%d viewers are connected and %d were disconnected, want 2 and 0", m.Viewers, m.Cut)
		}
		for name, v := range map[string]*viewer{"early": early, "late": late} {
			if got := strings.Count(v.take(), "\nid:"); got == 0 {
				t.Errorf("the %s viewer was sent nothing", name)
			}
		}
	})
}

// stuck is a client that does not read, on a server without deadlines.
type stuck struct {
	*httptest.ResponseRecorder
	gone <-chan struct{}
}

func (s stuck) Write([]byte) (int, error) {
	<-s.gone
	return 0, os.ErrClosed
}

// The number of concurrent expensive requests is limited. Clients that do not read their
// response do not count.
func TestStuckClientsDoNotBlockOthers(t *testing.T) {
	bundles := capture(t, second(340).Time)
	synctest.Test(t, func(t *testing.T) {
		e, from, to := incident(t, page.Config{Bundles: bundles})
		span := query(from, to)
		for _, path := range []string{"history" + span, "moment" + span, "incident.zip" + span, "flame?id=one&file=heap.pb.gz"} {
			gone := make(chan struct{})
			var clients sync.WaitGroup
			for range 4 {
				clients.Go(func() {
					e.Handler().ServeHTTP(stuck{httptest.NewRecorder(), gone}, httptest.NewRequest(http.MethodGet, "/api/v1/"+path, http.NoBody))
				})
			}
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			w := httptest.NewRecorder()
			e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/"+path, http.NoBody).WithContext(ctx))
			if ctx.Err() != nil || w.Code != http.StatusOK || w.Body.Len() == 0 {
				t.Errorf("%s: the next client is not served: %d, %v", path, w.Code, ctx.Err())
			}
			cancel()
			close(gone)
			clients.Wait()
		}
	})
}

// A download may last longer than WriteTimeout if the client reads.
func TestDownloadsOutliveServerTimeouts(t *testing.T) {
	const timeout, size = 100 * time.Millisecond, 16 << 20 // more than sockets hold
	bundles := fstest.MapFS{"one/big.trace": {Data: make([]byte, size), ModTime: second(5).Time}}
	e := newPage(t, page.Config{Bundles: bundles})
	for n := range 10 {
		export(t, e, at(n))
	}
	srv := httptest.NewUnstartedServer(e.Handler())
	srv.Config.WriteTimeout = timeout
	srv.Start()
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/v1/capture?id=one&file=big.trace", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	time.Sleep(3 * timeout)
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("%d bytes of %d: %v", n, size, err)
	}
}
