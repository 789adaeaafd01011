// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// bodySnapshot returns what a processor adds to a snapshot.
func bodySnapshot(tb testing.TB, p *tracectx.Processor) *runtimeinfo.Snapshot {
	tb.Helper()
	return bodySnapshotAt(tb, p, time.Now())
}

func bodySnapshotAt(tb testing.TB, p *tracectx.Processor, at time.Time) *runtimeinfo.Snapshot {
	tb.Helper()
	c, err := runtimeinfo.NewCatalogue(p.Metrics()...)
	if err != nil {
		tb.Fatal(err)
	}
	b := runtimeinfo.NewBuilder(c, runtimeinfo.Snapshot{Time: at})
	d := b.Draft()
	p.Analyze(d)
	b.Merge(d)
	return b.Snapshot()
}

// bodyValues returns the values of a metric by root span and line.
func bodyValues(s *runtimeinfo.Snapshot, metric string) map[string]float64 {
	all := map[string]float64{}
	for point := range s.Points() {
		if point.Metric.Name == "gmpulse.http_client."+metric {
			all[strings.Join(point.Labels, " ")] = point.Number
		}
	}
	return all
}

// totalBodies returns the sum of the values of a metric.
func totalBodies(s *runtimeinfo.Snapshot, metric string) (sum float64) {
	for _, v := range bodyValues(s, metric) {
		sum += v
	}
	return sum
}

// upstream serves responses with and without a body, and streams.
func upstream(tb testing.TB) *httptest.Server {
	tb.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/prices", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Checksum")
		_, _ = io.WriteString(w, strings.Repeat("x", 256<<10))
		w.Header().Set("Checksum", "42")
	})
	mux.HandleFunc("/unannounced", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 256<<10))
		w.Header().Set(http.TrailerPrefix+"Checksum", "43")
	})
	mux.HandleFunc("/price", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "12.50") })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "data: begins\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/socket", func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, line)
	})
	s := httptest.NewServer(mux)
	tb.Cleanup(s.Close)
	return s
}

// newClient returns a client with Transport, and closes its connections at the end of the test.
func newClient(tb testing.TB, p *tracectx.Processor) *http.Client {
	tb.Helper()
	next := &http.Transport{}
	tb.Cleanup(next.CloseIdleConnections)
	return &http.Client{Transport: p.Transport(next)}
}

func get(tb testing.TB, ctx context.Context, c *http.Client, url string) *http.Response {
	tb.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := c.Do(req) // the line that the tests look for
	if err != nil {
		tb.Fatal(err)
	}
	return resp
}

// A body is open until Close, the end of the body or the end of the request's context.
func TestTransportCountsOpenBodies(t *testing.T) {
	p, server := newProcessor(t, tracectx.Config{}), upstream(t)
	client := newClient(t, p)
	var closed, read, cancelled *http.Response
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cancelled = get(t, ctx, client, server.URL+"/prices")
	p.Do(t.Context(), "GET /order", func(of context.Context) {
		closed, read = get(t, of, client, server.URL+"/prices"), get(t, of, client, server.URL+"/prices") //nolint:bodyclose // below
	})
	get(t, ctx, client, server.URL+"/empty") //nolint:bodyclose // it has none

	s := bodySnapshot(t, p)
	open := bodyValues(s, "open_bodies")
	for key, want := range map[string]float64{"GET /order ": 2, " ": 1} {
		found := false
		for k, v := range open {
			found = found || v == want && strings.HasPrefix(k, key+"github.com/gmpulse/gmpulse/tracectx_test.get (transport_test.go:")
		}
		if !found {
			t.Errorf("%q has not %v open bodies: %v", key, want, open)
		}
	}
	for key, age := range bodyValues(s, "oldest_body_age") {
		if age < 0 || age > time.Minute.Seconds() {
			t.Errorf("the oldest body of %s is %v s old", key, age)
		}
	}
	if read.ContentLength != -1 || read.Proto != "HTTP/1.1" || read.Request == nil {
		t.Errorf("the response is %+v", read)
	}
	if n, err := io.Copy(io.Discard, read.Body); n != 256<<10 || err != nil || read.Trailer.Get("Checksum") != "42" {
		t.Errorf("%d bytes, %v, trailer %v", n, err, read.Trailer)
	}
	if n := totalBodies(bodySnapshot(t, p), "open_bodies"); n != 2 {
		t.Errorf("%v open after one was read", n)
	}
	unannounced := get(t, t.Context(), client, server.URL+"/unannounced")
	if _, err := io.Copy(io.Discard, unannounced.Body); err != nil || unannounced.Trailer.Get("Checksum") != "43" {
		t.Errorf("%v, trailer %v", err, unannounced.Trailer)
	}
	_ = unannounced.Body.Close()
	for range 2 {
		_ = closed.Body.Close()
	}
	cancel()
	testutil.Eventually(t, "no body is open", func() bool { return totalBodies(bodySnapshot(t, p), "open_bodies") == 0 })
	_ = cancelled.Body.Close()
	_ = read.Body.Close()
	if n := totalBodies(bodySnapshot(t, p), "open_bodies"); n != 0 {
		t.Errorf("%v open at the end", n)
	}
}

// A switched protocol has the io.Writer of its connection, and does not count.
func TestTransportPassesUpgrades(t *testing.T) {
	p, server := newProcessor(t, tracectx.Config{}), upstream(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/socket", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := newClient(t, p).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp.Status)
	}
	_, _ = io.WriteString(resp.Body.(io.Writer), "hello\n")
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	if s := bodySnapshot(t, p); len(bodyValues(s, "open_bodies")) != 0 {
		t.Errorf("counted: %v", bodyValues(s, "open_bodies"))
	}
}

// forget leaves responses unread and unclosed.
//
//go:noinline
func forget(tb testing.TB, ctx context.Context, c *http.Client, url string, n int) {
	tb.Helper()
	for range n {
		get(tb, ctx, c, url) //nolint:bodyclose // the leak
	}
}

// Bodies that no code can reach open an incident at their line. Streams that are read never do.
func TestLostBodiesAreAnIncident(t *testing.T) {
	p, server := newProcessor(t, tracectx.Config{}), upstream(t)
	client := newClient(t, p)
	streams, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	const readers = 20
	for range readers {
		go func() {
			resp := get(t, streams, client, server.URL+"/stream")
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			ended <- struct{}{}
		}()
	}
	leak, release := context.WithCancel(t.Context())
	defer release()
	events := []runtimeinfo.Event{}
	collected := func() *runtimeinfo.Snapshot {
		runtime.GC()
		s := bodySnapshot(t, p)
		events = append(events, s.Events...)
		return s
	}
	p.Do(leak, "GET /order", func(ctx context.Context) { forget(t, ctx, client, server.URL+"/prices", 9) })
	testutil.Eventually(t, "nine are lost", func() bool { return totalBodies(collected(), "lost_bodies") == 9 })
	testutil.Eventually(t, "all streams are open", func() bool { return totalBodies(collected(), "open_bodies") == 9+readers })
	if len(events) > 0 {
		t.Errorf("nine are reported: %+v", events)
	}
	p.Do(leak, "GET /order", func(ctx context.Context) { forget(t, ctx, client, server.URL+"/prices", 3) })
	testutil.Eventually(t, "twelve are lost", func() bool { return totalBodies(collected(), "lost_bodies") == 12 })
	if len(events) != 1 || events[0].Incident == nil {
		t.Fatalf("events %+v", events)
	}
	i := events[0].Incident
	if i.Phase != runtimeinfo.IncidentOpened || i.Kind != "unclosed" || i.Root != "GET /order" || i.Size < 10 || i.Size > 12 || !strings.HasPrefix(i.Site, "github.com/gmpulse/gmpulse/tracectx_test.get (transport_test.go:") {
		t.Errorf("%+v", i)
	}
	release() // frees the connections
	testutil.Eventually(t, "none is lost", func() bool { return totalBodies(collected(), "lost_bodies") == 0 })
	if len(events) != 1 {
		t.Errorf("closed at once: %+v", events[1:])
	}
	events = append(events, bodySnapshotAt(t, p, time.Now().Add(2*time.Minute)).Events...)
	if len(events) != 2 || events[1].Incident.Phase != runtimeinfo.IncidentClosed || events[1].Incident.ID != i.ID {
		t.Errorf("events %+v", events)
	}
	if n := totalBodies(collected(), "open_bodies"); n != readers {
		t.Errorf("%v are open, want the streams", n)
	}
	stop()
	for range readers {
		<-ended
	}
}

// reply is a RoundTripper that answers at once.
type reply struct{ bodies io.Reader }

func (r reply) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, Body: io.NopCloser(r.bodies), Request: req}, nil
}

func (reply) CloseIdleConnections() { panic("idle connections are closed") }

// wrapper is a RoundTripper of an application.
type wrapper struct{ next http.RoundTripper }

func (w wrapper) RoundTrip(req *http.Request) (*http.Response, error) { return w.next.RoundTrip(req) }

func TestTransportNamesTheLineAboveTheClient(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	client := &http.Client{Transport: wrapper{p.Transport(reply{strings.NewReader("x")})}}
	resp := get(t, t.Context(), client, "http://upstream")
	if lines := bodyValues(bodySnapshot(t, p), "open_bodies"); len(lines) != 1 || !strings.Contains(fmt.Sprint(lines), "tracectx_test.get (") {
		t.Errorf("%v", lines)
	}
	_ = resp.Body.Close()
	resp, err := p.Transport(reply{strings.NewReader("x")}).RoundTrip(resp.Request) // without a client
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if lines := bodyValues(bodySnapshot(t, p), "open_bodies"); len(lines) != 2 || !strings.Contains(fmt.Sprint(lines), "TestTransportNamesTheLineAboveTheClient (") {
		t.Errorf("%v", lines)
	}
}

func TestTransportClosesIdleConnections(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	defer func() {
		if r := recover(); r != "idle connections are closed" {
			t.Error(r)
		}
	}()
	(&http.Client{Transport: p.Transport(reply{})}).CloseIdleConnections()
}

// The number of pairs of root span and line is bounded, and pairs without open bodies make room.
func TestTransportBoundsItsMemory(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	client := &http.Client{Transport: p.Transport(reply{strings.NewReader("x")})}
	var all []*http.Response
	for i := range 60 {
		p.Do(t.Context(), fmt.Sprintf("GET /%d", i), func(ctx context.Context) { all = append(all, get(t, ctx, client, "http://upstream")) }) //nolint:bodyclose // below
	}
	open := bodyValues(bodySnapshot(t, p), "open_bodies")
	if len(open) != 51 || open["other other"] != 10 {
		t.Errorf("%d pairs: %v", len(open), open)
	}
	for len(all) < 16_384+5 {
		all = append(all, get(t, t.Context(), client, "http://upstream")) //nolint:bodyclose // below
	}
	if s := bodySnapshot(t, p); totalBodies(s, "open_bodies") != 16_384 || totalBodies(s, "untracked_bodies") != 5 {
		t.Errorf("%v open, %v not counted", totalBodies(s, "open_bodies"), totalBodies(s, "untracked_bodies"))
	}
	for _, resp := range all {
		_ = resp.Body.Close()
	}
	p.Do(t.Context(), "GET /last", func(ctx context.Context) { all[0] = get(t, ctx, client, "http://upstream") }) //nolint:bodyclose // below
	s := bodySnapshot(t, p)
	found := false
	for key, n := range bodyValues(s, "open_bodies") {
		found = found || n == 1 && strings.HasPrefix(key, "GET /last ")
	}
	if !found || totalBodies(s, "open_bodies") != 1 {
		t.Errorf("%v", bodyValues(s, "open_bodies"))
	}
	_ = all[0].Body.Close()
}

func TestTransportAllocations(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	p := newProcessor(t, tracectx.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://upstream", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	measure := func(rt http.RoundTripper) float64 {
		return testing.AllocsPerRun(200, func() {
			resp, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		})
	}
	plain, counted := measure(reply{}), measure(p.Transport(reply{}))
	t.Logf("%v allocations, %v with Transport", plain, counted)
	if counted-plain > 7 {
		t.Errorf("Transport allocates %v times per request", counted-plain)
	}
}

func BenchmarkTransport(b *testing.B) {
	p, server := newProcessor(b, tracectx.Config{}), upstream(b)
	next := &http.Transport{}
	defer next.CloseIdleConnections()
	for _, v := range []struct {
		name string
		rt   http.RoundTripper
	}{
		{"fake/plain", reply{strings.NewReader("")}},
		{"fake/counted", p.Transport(reply{strings.NewReader("")})},
		{"loopback/plain", next},
		{"loopback/counted", p.Transport(next)},
	} {
		b.Run(v.name, func(b *testing.B) {
			b.ReportAllocs()
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			client := &http.Client{Transport: v.rt}
			for b.Loop() {
				resp := get(b, ctx, client, server.URL+"/price")
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}
