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

// What servers and clients of this Go version have per connection is known by its
// frames, over TLS and HTTP/2 too: seven of each kind are there.
func TestConnectionsOfNetHTTPAreKnown(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			survey := connected(t, seven, http2)
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				err := allKnown(survey().Groups) // they take a moment to get where they wait
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

// allKnown says which group of net/http is not known.
func allKnown(groups []Group) error {
	known, all, server := signatures(), 0, 0
	for i := range groups {
		g := &groups[i]
		if g.Count < seven || !strings.HasPrefix(g.Entry, "net/http") {
			continue
		}
		all++
		sig, ok := recognise(known, g)
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
	surveyor := NewSurveyor(Config{})
	return func() *Survey {
		s, err := surveyor.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}
