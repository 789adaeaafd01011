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
)

// token is what a request to the agent's server must carry.
const token = "0123456789abcdef-soak"

// besiege runs the hostile clients in a process of their own until ctx is done: their
// ends of the connections must not count among the descriptors of the service.
func (s *service) besiege(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	address, err := url.Parse(s.agent.URL())
	if err != nil {
		return err
	}
	clients := exec.Command(program, "-attack", address.Host, "-hostile", strconv.Itoa(s.hostile))
	clients.Stderr = os.Stderr
	clients.WaitDelay = 10 * time.Second
	in, err := clients.StdinPipe()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = in.Close() })
	defer stop()
	out, err := clients.Output() // returns when they have left
	if err != nil {
		return fmt.Errorf("the hostile clients: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(out)), 10, 64)
	s.attacks.Add(n)
	return err
}

// attack is the process of the hostile clients. It ends when standard input does, and
// prints how many connections there were.
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
	_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends it
	cancel()
	wg.Wait()
	fmt.Println(connections.Load())
}

// visit makes one connection, which ends within ten seconds.
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

// neverRead has the token, asks for much, and reads nothing of it.
func neverRead(ctx context.Context, c net.Conn) {
	paths := []string{"api/v1/history", "api/v1/stream"}
	path := paths[time.Now().UnixNano()/1000%2]
	if _, err := fmt.Fprintf(c, "GET /debug/gmpulse/%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", path, token); err == nil {
		<-ctx.Done()
	}
}

// pipeline sends one request after the other and reads no answer.
func pipeline(_ context.Context, c net.Conn) {
	requests := strings.Repeat("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 100)
	for {
		if _, err := io.WriteString(c, requests); err != nil {
			return
		}
	}
}

// slowHeader sends a header that never ends, a byte at a time.
func slowHeader(ctx context.Context, c net.Conn) {
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: "); err != nil {
		return
	}
	for range beat(ctx, 200*time.Millisecond) {
		if _, err := io.WriteString(c, "x"); err != nil {
			return
		}
	}
}

// noToken asks for what it may not have, and reads the answer.
func noToken(_ context.Context, c net.Conn) {
	if _, err := io.WriteString(c, "GET /debug/gmpulse/api/v1/history HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return
	}
	status, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.Contains(status, " 401 ") {
		fmt.Fprintf(os.Stderr, "soak: a client without a token is answered %q\n", status)
		os.Exit(1)
	}
}
