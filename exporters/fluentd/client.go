// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/fluent/fluent-logger-golang/fluent"
)

// greetingWait is how long connect waits for data on a new connection. A server that
// requires a shared key sends a greeting within one round trip; others send nothing.
const greetingWait = 200 * time.Millisecond

// What the worker is doing.
const (
	stageIdle      = "waiting for the worker"
	stageDialing   = "dialing"
	stageListening = "waiting for a greeting"
	stagePosting   = "waiting for the acknowledgement"
	stageClosing   = "closing the connection"
)

// message is one record with its tag and time.
type message struct {
	tag  string
	at   time.Time
	body body
}

// client wraps the library's client. Only the worker uses it. It replaces the library's
// client after each failure, because only a new one returns the cause when it cannot
// connect.
type client struct {
	target *target
	stage  *atomic.Value
	fluent *fluent.Fluent // nil: not connected
	isTLS  bool           // the server of a tcp:// address was found to speak TLS
}

// send sends m and returns when the server has acknowledged it.
func (c *client) send(ctx context.Context, m message) error {
	defer c.stage.Store(stageIdle)
	isNew := c.fluent == nil
	timedOut, err := c.attempt(ctx, m)
	if err == nil || isNew || timedOut || ctx.Err() != nil {
		return err
	}
	// The server closed an established connection, because it restarted or keeps none
	// open. A new connection may work.
	_, err = c.attempt(ctx, m)
	return err
}

// attempt posts m once, on a new connection if there is none. timedOut reports whether a
// timeout of the library ended the attempt.
func (c *client) attempt(ctx context.Context, m message) (timedOut bool, err error) {
	if c.fluent == nil {
		if err := c.connect(ctx); err != nil {
			return false, err
		}
		if ctx.Err() != nil { // the library's dial ignores ctx
			return false, cause(ctx)
		}
	}
	c.stage.Store(stagePosting)
	begin := time.Now()
	err = safely(func() error { return c.fluent.PostWithTime(m.tag, m.at, m.body) })
	if err == nil {
		c.isTLS = false
		return false, nil
	}
	endStderrLine()
	c.close()
	if time.Since(begin) >= min(c.target.writeTimeout, c.target.ackTimeout) {
		return true, fmt.Errorf("not written within %v or not acknowledged within %v: %w", c.target.writeTimeout, c.target.ackTimeout, err)
	}
	if c.needsTLS(ctx) {
		return false, fmt.Errorf("%w: %w", errNeedsTLS, err)
	}
	return false, fmt.Errorf("connection broken, or not answered with the acknowledgement: %w", err)
}

// endStderrLine ends the line that the library writes to os.Stderr when an
// acknowledgement is missing: "Closing connection..." without a newline.
func endStderrLine() { _, _ = os.Stderr.WriteString("\n") }

var errNeedsTLS = errors.New("the server requires TLS: use tls://host:port")

// tlsWait bounds the handshake of needsTLS.
const tlsWait = time.Second

// needsTLS reports whether the server of a tcp:// address, which has closed a
// connection, speaks TLS.
func (c *client) needsTLS(ctx context.Context) bool {
	if c.target.network != "tcp" || c.isTLS {
		return c.isTLS
	}
	ctx, cancel := context.WithTimeout(ctx, min(tlsWait, c.target.timeout))
	defer cancel()
	d := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // nothing is sent
	conn, err := d.DialContext(ctx, "tcp", c.target.hostPort())
	var alert tls.AlertError // a TLS server may require a client certificate, for example
	c.isTLS = err == nil || errors.As(err, &alert)
	if err == nil {
		_ = conn.Close()
	}
	return c.isTLS
}

// connect probes the server and then creates the library's client. The library's dial
// ends with its timeout, not with ctx.
func (c *client) connect(ctx context.Context) error {
	if err := c.probe(ctx); err != nil {
		return err
	}
	c.stage.Store(stageDialing)
	return safely(func() error {
		f, err := fluent.New(c.target.client())
		if err != nil {
			return fmt.Errorf("no connection: %w", err) // f has no connection to close
		}
		c.fluent = f
		return nil
	})
}

// probe dials a separate connection and waits for a greeting.
func (c *client) probe(ctx context.Context) error {
	c.stage.Store(stageDialing)
	conn, err := c.dial(ctx)
	if err != nil {
		return fmt.Errorf("no connection: %w", err)
	}
	defer conn.Close()
	c.stage.Store(stageListening)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	if err := conn.SetReadDeadline(time.Now().Add(greetingWait)); err != nil {
		return fmt.Errorf("wait for a greeting: %w", err)
	}
	greeting := make([]byte, 16)
	n, err := conn.Read(greeting)
	switch greeting = greeting[:n]; {
	case bytes.Contains(greeting, []byte("HELO")): // 92 a4 "HELO", an array of two
		return ErrSharedKey
	case n > 0:
		return fmt.Errorf("not a forward server: it sent %q first", greeting)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return cause(ctx) // usually nil: the server sent no greeting
	default:
		return fmt.Errorf("server closes new connections: %w", err)
	}
}

func (c *client) dial(ctx context.Context) (net.Conn, error) {
	t := c.target
	d := &net.Dialer{Timeout: t.timeout}
	switch t.network {
	case "unix":
		return d.DialContext(ctx, "unix", t.path)
	case "tls":
		// The same checks as in the library's dial, which follows.
		td := &tls.Dialer{NetDialer: d, Config: &tls.Config{InsecureSkipVerify: t.insecure}} //nolint:gosec // opt-in
		return td.DialContext(ctx, "tcp", t.hostPort())
	default:
		return d.DialContext(ctx, "tcp", t.hostPort())
	}
}

// close closes the connection. It must not run during a post, which the library would
// wait for.
func (c *client) close() {
	if c.fluent == nil {
		return
	}
	c.stage.Store(stageClosing)
	f := c.fluent
	c.fluent = nil
	_ = safely(f.Close) // the connection is abandoned in any case
}

// safely calls f and returns a panic of the library as an error.
func safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("fluent-logger-golang panicked: %v", r)
		}
	}()
	return f()
}

// wireTime returns t, or time 0 if its seconds do not fit into the 32 bits of the
// protocol. A server replaces time 0 with its own time.
func wireTime(t time.Time) time.Time {
	if sec := t.Unix(); sec < 0 || sec > math.MaxUint32 {
		return time.Unix(0, 0)
	}
	return t
}
