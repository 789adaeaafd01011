// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// pipe returns a connection and a function that reports whether it was closed.
func pipe(t *testing.T) (c net.Conn, closed func() bool) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = far.Read(make([]byte, 1))
	}()
	t.Cleanup(func() { <-done })
	t.Cleanup(func() { _ = far.Close() })
	return near, func() bool {
		_, err := near.Write(nil)
		return err != nil
	}
}

// The list keeps the newest connections and those that are busy.
func TestConnectionsAreBounded(t *testing.T) {
	all := connections{max: maxConnections}
	var kept []*connection
	var closed []func() bool
	for range 1015 {
		c, isClosed := pipe(t)
		kept, closed = append(kept, all.add(c)), append(closed, isClosed)
		if len(kept) <= 3 {
			kept[len(kept)-1].setBusy(true)
		}
		if len(all.open) > maxConnections {
			t.Fatalf("%d connections are open", len(all.open))
		}
	}
	for i := range kept {
		if want := i >= 3 && i < 1015-maxConnections+3; closed[i]() != want {
			t.Fatalf("connection %d is closed: %v, want %v", i, !want, want)
		}
	}
	// The first is no longer busy, so it has waited least.
	kept[0].setBusy(false)
	if all.open[len(all.open)-1] != kept[0] {
		t.Error("a connection that was busy is not the last in the list")
	}
	if err := kept[0].Close(); err != nil || slices.Contains(all.open, kept[0]) || len(all.open) != maxConnections-1 {
		t.Errorf("a closed connection still counts: %v", err)
	}
	kept[0].setBusy(false) // a request that ends after Close
	if slices.Contains(all.open, kept[0]) {
		t.Error("a closed connection was added again")
	}
}

// A process that may open few files keeps most of them for the application, and some
// connections are no streams of the page.
func TestConnectionLimitDependsOnTheFileLimit(t *testing.T) {
	for files, want := range map[uint64]int{0: 192, 64: 24, 256: 64, 400: 100, 768: 192, 1 << 20: 192, 1<<64 - 1: 192} {
		got := connectionLimit(files)
		if got != want {
			t.Errorf("%d files: %d connections, want %d", files, got, want)
		}
		if v := viewerLimit(got); v < 16 || got-v < 8 {
			t.Errorf("%d files: %d of %d connections may be streams", files, v, got)
		}
	}
}

// A new connection is refused if all are busy.
func TestBusyConnectionsAreKept(t *testing.T) {
	all := connections{max: maxConnections}
	for range maxConnections {
		c, _ := pipe(t)
		all.add(c).setBusy(true)
	}
	c, _ := pipe(t)
	if all.add(c) != nil {
		t.Error("a busy connection was closed")
	}
}

// one is a listener with one connection.
type one struct {
	net.Conn

	accepted bool
	closed   chan struct{}
}

func (l *one) Accept() (net.Conn, error) {
	if !l.accepted {
		l.accepted = true
		return l.Conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *one) Addr() net.Addr { return l.LocalAddr() }

func (l *one) Close() error {
	close(l.closed)
	return nil
}

// The server sends the end of a response after the handler has returned. The connection is busy
// until then.
func TestConnectionIsBusyUntilTheResponseIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := connections{max: 1}
		near, far := net.Pipe()
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			markBusy(r)
			_, _ = io.WriteString(w, strings.Repeat("x", 1000))
		})
		server := newHTTPServer(h, slog.New(slog.DiscardHandler))
		ended := make(chan error)
		go func() { ended <- server.Serve(&one{Conn: all.add(near), closed: make(chan struct{})}) }()
		other, _ := net.Pipe()
		if _, err := io.WriteString(far, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the server waits for the client to read
		if all.add(other) != nil {
			t.Error("a connection was closed before its response was sent")
		}
		resp, err := http.ReadResponse(bufio.NewReader(far), nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); len(b) != 1000 || err != nil {
			t.Errorf("%d bytes, %v", len(b), err)
		}
		_ = resp.Body.Close()
		synctest.Wait()
		if all.add(other) == nil {
			t.Error("a connection is busy after its response was sent")
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
}
