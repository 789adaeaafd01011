// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/examples/child"
)

// token authorises requests to the agent's server.
const token = "0123456789abcdef-soak"

// runHostileClients runs the hostile clients in a child process until ctx is done, so
// that their descriptors do not count as the service's.
func (s *service) runHostileClients(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	address, err := url.Parse(s.agent.URL())
	if err != nil {
		return err
	}
	clients := exec.Command(program, "-attack", address.Host, "-hostile", strconv.Itoa(s.hostile), "-leave", s.limits.origin)
	clients.Stderr = os.Stderr
	clients.WaitDelay = 10 * time.Second
	in, err := clients.StdinPipe()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = in.Close() })
	defer stop()
	out, err := clients.Output() // returns when the child has ended
	if err != nil {
		return fmt.Errorf("the hostile clients: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(out)), 10, 64)
	s.attacks.Add(n)
	return err
}

// attack runs the hostile clients in the child process until standard input ends, and
// prints the number of connections.
func attack(address string, n int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	var connections atomic.Uint64
	kinds := []func(context.Context, net.Conn){neverRead, pipeline, slowHeader, noToken}
	for i := range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				if visit(ctx, address, kinds[i%len(kinds)]) {
					connections.Add(1)
				}
				wait(ctx, 50*time.Millisecond)
			}
		})
	}
	<-child.ParentDone()
	cancel()
	wg.Wait()
	fmt.Println(connections.Load())
}

// visit makes one connection and closes it after at most ten seconds.
func visit(ctx context.Context, address string, kind func(context.Context, net.Conn)) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	kind(ctx, c)
	return true
}

// neverRead has the token, requests a large response and does not read it.
func neverRead(ctx context.Context, c net.Conn) {
	paths := []string{"api/v1/history", "api/v1/stream"}
	path := paths[time.Now().UnixNano()/1000%2]
	if _, err := fmt.Fprintf(c, "GET /debug/gmpulse/%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", path, token); err == nil {
		<-ctx.Done()
	}
}

// pipeline sends requests without end and reads no response.
func pipeline(_ context.Context, c net.Conn) {
	requests := strings.Repeat("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 100)
	for {
		if _, err := io.WriteString(c, requests); err != nil {
			return
		}
	}
}

// slowHeader sends a header that never ends, byte by byte.
func slowHeader(ctx context.Context, c net.Conn) {
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: "); err != nil {
		return
	}
	for range every(ctx, 200*time.Millisecond) {
		if _, err := io.WriteString(c, "x"); err != nil {
			return
		}
	}
}

// noToken sends a request without the token and checks that the server refuses it.
func noToken(_ context.Context, c net.Conn) {
	if _, err := io.WriteString(c, "GET /debug/gmpulse/api/v1/history HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return
	}
	status, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.Contains(status, " 401 ") {
		fmt.Fprintf(os.Stderr, "soak: the response to a client without a token is %q, want status 401\n", status)
		os.Exit(1)
	}
}
