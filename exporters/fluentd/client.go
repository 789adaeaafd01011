// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// greetingWait is how long connect waits for data on a new connection. A server that
// requires a shared key sends a greeting within one round trip; others send nothing.
const greetingWait = 200 * time.Millisecond

// What the worker is doing.
const (
	stageIdle           = "waiting for the worker"
	stageDialing        = "dialing"
	stageListening      = "waiting for a greeting"
	stageAuthenticating = "authenticating"
	stagePosting        = "waiting for the acknowledgement"
	stageClosing        = "closing the connection"
)

// message is one record with its tag and time.
type message struct {
	tag  string
	at   time.Time
	body body
}

// client has the connection. Only the worker uses it. It replaces the connection after each
// failure.
type client struct {
	target *target
	stage  *atomic.Value
	conn   *session // nil: not connected
	isTLS  bool     // the server of a tcp:// address was found to speak TLS
}

// send sends m and returns when the server has acknowledged it.
func (c *client) send(ctx context.Context, m message) error {
	defer c.stage.Store(stageIdle)
	isNew := c.conn == nil
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
// timeout ended the attempt.
func (c *client) attempt(ctx context.Context, m message) (timedOut bool, err error) {
	if c.conn == nil {
		if err := c.connect(ctx); err != nil {
			return false, err
		}
	}
	c.stage.Store(stagePosting)
	begin := time.Now()
	keep, err := c.conn.post(m)
	if !keep {
		c.close()
	}
	if err == nil {
		c.isTLS = false
		return false, nil
	}
	if time.Since(begin) >= min(c.target.writeTimeout, c.target.ackTimeout) {
		return true, fmt.Errorf("not written within %v or not acknowledged within %v: %w", c.target.writeTimeout, c.target.ackTimeout, err)
	}
	if c.needsTLS(ctx) {
		return false, fmt.Errorf("%w: %w", errNeedsTLS, err)
	}
	return false, fmt.Errorf("connection broken, or not answered with the acknowledgement: %w", err)
}

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
	c.isTLS = err == nil || isAlert(err) // it may require a client certificate, for example
	if err == nil {
		_ = conn.Close()
	}
	return c.isTLS
}

// connect makes a connection.
func (c *client) connect(ctx context.Context) error {
	s, err := openSession(ctx, c.target, c.stage)
	if err == nil {
		c.conn = s
		return nil
	}
	if errors.Is(err, errNoHelo) && c.needsTLS(ctx) {
		return fmt.Errorf("%w: %w", errNeedsTLS, err)
	}
	return err
}

// awaitNoGreeting returns nil if the server sends nothing within greetingWait.
func awaitNoGreeting(ctx context.Context, t *target, conn net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.SetReadDeadline(time.Now().Add(greetingWait)); err != nil {
		return fmt.Errorf("wait for a greeting: %w", err)
	}
	const helo = "\x92\xa4HELO" // an array of two, the first of which is the text HELO
	greeting := make([]byte, 16)
	n, err := io.ReadAtLeast(conn, greeting, len(helo))
	switch greeting = greeting[:n]; {
	case bytes.HasPrefix(greeting, []byte(helo)):
		return ErrSharedKey
	case n > 0:
		return fmt.Errorf("not a forward server: it sent %q first", greeting)
	case errors.Is(err, os.ErrDeadlineExceeded) && stop():
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return cause(ctx)
	default:
		return fmt.Errorf("server closes new connections: %w", t.tls.explain(err))
	}
}

// dial returns a new connection, after the TLS handshake if there is one.
func (t *target) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	network, address := t.network, t.hostPort()
	switch t.network {
	case "unix":
		address = t.path
	case "tls":
		network = "tcp"
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil || t.network != "tls" {
		return conn, err
	}
	config, err := t.tls.config(t.host)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = cause(ctx)
		}
		if ctx.Err() != nil || errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("no TLS handshake, the server may not speak TLS: %w", err)
		}
		return nil, t.tls.explain(err)
	}
	return secured, nil
}

// close closes the connection. It must not run during a post.
func (c *client) close() {
	if c.conn == nil {
		return
	}
	c.stage.Store(stageClosing)
	c.conn.close()
	c.conn = nil
}

// wireTime returns t, or time 0 if its seconds do not fit into the 32 bits of the
// protocol. A server replaces time 0 with its own time.
func wireTime(t time.Time) time.Time {
	if sec := t.Unix(); sec < 0 || sec > math.MaxUint32 {
		return time.Unix(0, 0)
	}
	return t
}
