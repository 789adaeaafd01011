// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// neverReads pipelines requests over one connection and reads no response.
func neverReads(t *testing.T, server *httptest.Server) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	requests := bytes.Repeat([]byte("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"), 1000)
	go func() { _, _ = c.Write(requests) }() // until the connection is closed
}

// TestClientsThatNeverReadBlockNoOtherClient uses a server without timeouts.
func TestClientsThatNeverReadBlockNoOtherClient(t *testing.T) {
	e := newExporter(t, whole())
	export(t, e, live(t))
	blocked := make(chan struct{}, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.Handler().ServeHTTP(&filling{ResponseWriter: w, small: r.Header.Get("User-Agent") == "", blocked: blocked}, r)
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	for range 8 {
		neverReads(t, server)
	}
	for range 8 {
		<-blocked
	}
	for range 60 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "gmpulse_goroutine_user ") {
			t.Fatalf("status %d, %d bytes: %v", resp.StatusCode, len(body), err)
		}
	}
}

// filling fills the socket of a client that does not read, and reports that on blocked.
type filling struct {
	http.ResponseWriter
	small   bool
	blocked chan struct{}
}

func (n *filling) Unwrap() http.ResponseWriter { return n.ResponseWriter }

func (n *filling) Write(b []byte) (int, error) {
	if n.small {
		n.blocked <- struct{}{}
		for { // kernel buffers are megabytes
			if _, err := n.ResponseWriter.Write(b); err != nil {
				return 0, err
			}
		}
	}
	return n.ResponseWriter.Write(b)
}
