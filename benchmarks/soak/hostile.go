// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
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
	counts := strings.Fields(string(out))
	if len(counts) != 2*len(hostileKinds) {
		return fmt.Errorf("the hostile clients printed %q", out)
	}
	for i, text := range counts {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return err
		}
		s.attacks[i/2][i%2].Add(n)
	}
	return nil
}

// hostileKinds are the kinds of hostile clients. attack reports whether the client had the
// intended effect: the server answered or refused it as it should.
var hostileKinds = [...]struct {
	name   string
	attack func(context.Context, net.Conn) bool
}{
	{"never read", neverRead},
	{"pipeline", func(_ context.Context, c net.Conn) bool { return pipeline(c, authorization, "200") }},
	{"pipeline without token", func(_ context.Context, c net.Conn) bool { return pipeline(c, "", "401") }},
	{"slow header", slowHeader},
	{"no token", noToken},
}

// connections has, for each of hostileKinds, the number of connections and of those with
// the intended effect.
type connections [len(hostileKinds)][2]atomic.Uint64

// check reports the kinds of clients that had no effect.
func (c *connections) check() error {
	var errs []error
	for i := range c {
		if c[i][1].Load() == 0 {
			errs = append(errs, fmt.Errorf("none of %d connections of the hostile clients %q was served or refused as intended", c[i][0].Load(), hostileKinds[i].name))
		}
	}
	return errors.Join(errs...)
}

func (c *connections) String() string {
	var parts []string
	for i := range c {
		parts = append(parts, fmt.Sprintf("%s %d of %d", hostileKinds[i].name, c[i][1].Load(), c[i][0].Load()))
	}
	return strings.Join(parts, ", ")
}

// attack runs the hostile clients in the child process until standard input ends, and
// prints the numbers of connections.
func attack(address string, n int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	var all connections
	for i := range n {
		k := i % len(hostileKinds)
		wg.Go(func() {
			for ctx.Err() == nil {
				visit(ctx, address, hostileKinds[k].attack, &all[k])
				wait(ctx, 50*time.Millisecond)
			}
		})
	}
	<-child.ParentDone()
	cancel()
	wg.Wait()
	for i := range all {
		fmt.Println(all[i][0].Load(), all[i][1].Load())
	}
}

// visit makes one connection, closes it after at most ten seconds, and counts it.
func visit(ctx context.Context, address string, attack func(context.Context, net.Conn) bool, count *[2]atomic.Uint64) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	count[0].Add(1)
	if attack(ctx, c) {
		count[1].Add(1)
	}
}

const authorization = "Authorization: Bearer " + token + "\r\n"

// hasStatus reads the status line of a response, and nothing else.
func hasStatus(c net.Conn, want string) bool {
	line := make([]byte, len("HTTP/1.1 200"))
	_, err := io.ReadFull(c, line)
	return err == nil && strings.HasSuffix(string(line), " "+want)
}

// neverRead has the token, requests a large response and reads only its status.
func neverRead(ctx context.Context, c net.Conn) bool {
	paths := []string{"api/v1/history", "api/v1/stream"}
	path := paths[time.Now().UnixNano()/1000%2]
	_, err := fmt.Fprintf(c, "GET /debug/gmpulse/%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, authorization)
	if err != nil || !hasStatus(c, "200") {
		return false
	}
	<-ctx.Done()
	return true
}

// pipeline sends requests without end and reads only the status of the first response.
func pipeline(c net.Conn, header, want string) bool {
	requests := strings.Repeat("GET /metrics HTTP/1.1\r\nHost: localhost\r\n"+header+"\r\n", 100)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for {
			if _, err := io.WriteString(c, requests); err != nil {
				return
			}
		}
	}()
	ok := hasStatus(c, want)
	<-sent // until the server or visit closes the connection
	return ok
}

// slowHeader sends a header that never ends, byte by byte, until the server closes the
// connection.
func slowHeader(ctx context.Context, c net.Conn) bool {
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: "); err != nil {
		return false
	}
	for range every(ctx, 200*time.Millisecond) {
		if _, err := io.WriteString(c, "x"); err != nil {
			return ctx.Err() == nil
		}
	}
	return false
}

// noToken sends a request without the token and checks that the server refuses it.
func noToken(_ context.Context, c net.Conn) bool {
	if _, err := io.WriteString(c, "GET /debug/gmpulse/api/v1/history HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return false
	}
	status, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.Contains(status, " 401 ") {
		fmt.Fprintf(os.Stderr, "soak: the response to a client without a token is %q, want status 401\n", status)
		os.Exit(1)
	}
	return err == nil
}
