// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"bufio"
	"bytes"
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

// viewer is a browser without a network: it takes what is written, or, once
// stalled, nothing until the deadline of the write.
type viewer struct {
	header http.Header

	mu       sync.Mutex
	buf      bytes.Buffer
	code     int
	stalled  bool
	deadline time.Time
	largest  int // write
}

func newViewer() *viewer { return &viewer{header: http.Header{}} }

func (v *viewer) Header() http.Header { return v.header }

func (v *viewer) WriteHeader(code int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.code = code
}

func (v *viewer) status() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.code
}

func (v *viewer) Flush() {}

func (v *viewer) SetWriteDeadline(t time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.deadline = t
	return nil
}

func (v *viewer) SetReadDeadline(time.Time) error { return nil }

func (v *viewer) Write(b []byte) (int, error) {
	v.mu.Lock()
	if v.code == 0 {
		v.code = http.StatusOK
	}
	stalled, wait := v.stalled, time.Until(v.deadline)
	defer v.mu.Unlock()
	if stalled {
		v.mu.Unlock()
		time.Sleep(wait)
		v.mu.Lock()
		return 0, os.ErrDeadlineExceeded
	}
	v.largest = max(v.largest, len(b))
	return v.buf.Write(b)
}

func (v *viewer) stall() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stalled = true
}

func (v *viewer) take() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.buf.String()
	v.buf.Reset()
	return s
}

// watch opens a stream; the returned function ends it.
func watch(t *testing.T, e *page.Exporter, v http.ResponseWriter, lastID string) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequest(http.MethodGet, "/api/v1/stream", http.NoBody).WithContext(ctx)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Handler().ServeHTTP(v, r)
	}()
	synctest.Wait()
	return func() { cancel(); <-done }
}

type viewers struct {
	Viewers int
	Cut     uint64 `json:"viewers_cut"`
	Boot    string
	Seq     uint64
}

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

func TestStreamBeats(t *testing.T) {
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

// A viewer that takes nothing costs nobody anything: samples go on, other
// viewers see them, and after its deadline it is cut off and counted.
func TestAStalledViewerIsCutOff(t *testing.T) {
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
			t.Errorf("afterwards: %+v, want one viewer and one cut off", m)
		}
	})
}

func TestTooManyViewers(t *testing.T) {
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

// Where nothing can be flushed the page polls.
func TestPolling(t *testing.T) {
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
		t.Error("seven hundred samples behind, and no reset")
	}
}

// The deadlines of a server that are meant for requests that end do not end the stream.
func TestStreamOutlivesTheServersTimeouts(t *testing.T) {
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
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "retry: ") { // from now on it sees every sample
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

// Whoever comes after a while without viewers is not taken for one that is slow.
func TestTheFirstViewerAfterAWhile(t *testing.T) {
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
			t.Errorf("%d viewers are left and %d were cut off, want 2 and 0", m.Viewers, m.Cut)
		}
		for name, v := range map[string]*viewer{"early": early, "late": late} {
			if got := strings.Count(v.take(), "\nid:"); got == 0 {
				t.Errorf("the %s one was sent nothing", name)
			}
		}
	})
}

// stuck is a client that takes nothing at all, on a server that sets no deadlines.
type stuck struct {
	*httptest.ResponseRecorder
	gone <-chan struct{}
}

func (s stuck) Write([]byte) (int, error) {
	<-s.gone
	return 0, os.ErrClosed
}

// Requests that cost much take turns. Clients that do not read what they asked for
// must not keep the turn.
func TestStuckClientsKeepNobodyWaiting(t *testing.T) {
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

// A download takes as long as it takes, as long as the client takes something.
func TestDownloadsOutliveTheServersTimeouts(t *testing.T) {
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
