// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Signatures match the goroutines that servers and clients of this Go version have for each
// connection, including TLS and HTTP/2.
func TestSignaturesMatchNetHTTP(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			survey := connected(t, seven, http2)
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				err := allKnown(survey().Groups) // goroutines take a moment to block
				if err == nil {
					return
				}
				if time.Now().After(deadline) {
					t.Fatal(err)
				}
			}
		})
	}
}

const seven = 7

// allKnown returns an error for a group of net/http without a signature.
func allKnown(groups []Group) error {
	known, all, server := signatures(), 0, 0
	for i := range groups {
		g := &groups[i]
		if g.Count < seven || !strings.HasPrefix(g.Entry, "net/http") {
			continue
		}
		all++
		sig, ok := signatureOf(known, g)
		if !ok && !servesConnection(g.Entry) {
			return fmt.Errorf("unknown: %v", g.Key)
		}
		if ok && sig.kind == Connections {
			server++
		}
	}
	if all < 3 || server < 1 {
		return fmt.Errorf("%d groups, %d of a server: %v", all, server, groups)
	}
	return nil
}

// connected makes a server with n idle connections and n with a request that waits,
// until the test ends.
func connected(t *testing.T, n int, http2 bool) (survey func() *Survey) {
	t.Helper()
	var waiting, done sync.WaitGroup
	stop := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			waiting.Done()
			<-stop
		}
		_, _ = io.WriteString(w, "ok")
	}))
	srv.EnableHTTP2 = http2
	srv.StartTLS()
	get := func(path string) {
		transport, _ := srv.Client().Transport.(*http.Transport)
		client := &http.Client{Transport: transport.Clone()}
		t.Cleanup(client.CloseIdleConnections)
		resp, err := client.Get(srv.URL + path)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	waiting.Add(n)
	for range n {
		get("/")
		done.Go(func() { get("/wait") })
	}
	t.Cleanup(func() {
		close(stop)
		done.Wait()
		srv.Close()
	})
	waiting.Wait()
	surveyor := NewSurveyor(SurveyConfig{})
	return func() *Survey {
		s, err := surveyor.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// A rising number of clients is not a leak of any kind of server.
func TestServerConnectionsAreNoLeak(t *testing.T) {
	for _, key := range []Key{
		{IO, Site{Function: "net/http/internal/http2.readFrameHeader"}, "net/http/internal/http2.(*serverConn).readFrames"},
		{IO, Site{Function: "net/http.http2readFrameHeader"}, "net/http.(*http2serverConn).readFrames"},
		{IO, Site{Function: "golang.org/x/net/http2.readFrameHeader"}, "golang.org/x/net/http2.(*serverConn).readFrames"},
		{Select, Site{Function: "net/http/internal/http2.(*serverConn).serve"}, "net/http.(*conn).serve"},
		{Select, Site{Function: "shop.stream"}, "net/http/internal/http2.(*serverConn).runHandler"},
		{IO, Site{Function: "google.golang.org/grpc/internal/transport/readyreader.(*nonBlockingReader).ReadOnReady"}, "google.golang.org/grpc.(*Server).handleRawConn.func1"},
		{Select, Site{Function: "google.golang.org/grpc/internal/transport.(*http2Server).keepalive"}, "google.golang.org/grpc/internal/transport.(*http2Server).keepalive"},
		{Select, Site{Function: "google.golang.org/grpc/internal/transport.(*controlBuffer).get"}, "google.golang.org/grpc/internal/transport.NewServerTransport.func3"},
		{Select, Site{Function: "google.golang.org/grpc/health.(*Server).Watch"}, "google.golang.org/grpc.(*Server).serveStreams.func2.1"},
		{IO, Site{Function: "github.com/valyala/fasthttp.(*Server).serveConnCounted"}, "github.com/valyala/fasthttp.(*workerPool).getCh.func1"},
		{ChanReceive, Site{Function: "github.com/valyala/fasthttp.(*workerPool).workerFunc"}, "github.com/valyala/fasthttp.(*workerPool).getCh.func1"},
	} {
		p := newProcess(t)
		first, last := p.run(4*time.Minute, func(time.Duration) { p.add(20, fakeGoroutine{key: key}) })
		noAlarm(t, first)
		if got := kinds(last); got != "connections" {
			t.Errorf("%v: verdict %q, want connections", key, got)
		}
	}
}

// Handlers of servers are recognized and have no signature of a client.
func TestHandlersHaveNoClientSignature(t *testing.T) {
	for _, entry := range []string{
		"net/http.(*conn).serve", "net/http.(*http2serverConn).runHandler", "net/http/internal/http2.(*serverConn).runHandler", "golang.org/x/net/http2.(*serverConn).runHandler",
		"google.golang.org/grpc.(*Server).serveStreams.func2.1", "google.golang.org/grpc.(*Server).serveStreams.func1.2", "google.golang.org/grpc.(*Server).serverWorker",
		"github.com/valyala/fasthttp.(*workerPool).getCh.func1", "github.com/valyala/fasthttp.(*workerPool).workerFunc",
	} {
		g := &Group{Key: Key{ChanReceive, Site{Function: "main.handle"}, entry}, Count: 30}
		sig, _ := signatureOf(signatures(), g)
		if !servesConnection(entry) || !handlesRequest(g) || sig.kind != "" || sig.hint != "" || sig.background {
			t.Errorf("%s: serves %v, handles %v, signature %+v", entry, servesConnection(entry), handlesRequest(g), sig)
		}
	}
	for _, entry := range []string{"google.golang.org/grpc.(*ClientConn).connect", "github.com/valyala/fasthttp.(*HostClient).connsCleaner", "main.main"} {
		if servesConnection(entry) {
			t.Errorf("%s does not serve a connection", entry)
		}
	}
}
