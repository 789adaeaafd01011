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

// greetingWait is how long a new connection is listened to. A server that wants
// a shared key speaks first, within one round trip; all others stay silent.
const greetingWait = 200 * time.Millisecond

// stage is what the worker is busy with.
type stage int32

const (
	stageIdle stage = iota
	stageDialling
	stageListening
	stagePosting
	stageClosing
)

func (s stage) String() string {
	switch s {
	case stageDialling:
		return "dialling"
	case stageListening:
		return "waiting for a greeting"
	case stagePosting:
		return "waiting for the acknowledgement"
	case stageClosing:
		return "closing the connection"
	case stageIdle:
		return "waiting for the worker"
	default:
		return "unknown stage"
	}
}

// message is one record on its way.
type message struct {
	tag  string
	at   time.Time
	body body
}

// client wraps the library's client for the one goroutine that may use it. It
// replaces it after each failure, because only a new one tells why it cannot
// connect: Post swallows the cause.
type client struct {
	target *target
	stage  *atomic.Int32
	fluent *fluent.Fluent // nil: not connected
	// secured tells that the server was found to speak TLS, where it is not spoken to so.
	secured bool
}

// send returns when the server has acknowledged m.
func (c *client) send(ctx context.Context, m message) error {
	defer c.stage.Store(int32(stageIdle))
	fresh := c.fluent == nil
	slow, err := c.attempt(ctx, m)
	if err == nil || fresh || slow || ctx.Err() != nil {
		return err
	}
	// The connection has served before and broke at once: the server closed it
	// meanwhile, by a restart or because it keeps none. That says nothing about
	// the server of now.
	_, err = c.attempt(ctx, m)
	return err
}

// attempt posts m once, on a new connection if there is none. slow means that a
// timeout of the library ended it.
func (c *client) attempt(ctx context.Context, m message) (slow bool, err error) {
	if c.fluent == nil {
		if err := c.connect(ctx); err != nil {
			return false, err
		}
		if ctx.Err() != nil { // given up meanwhile: the library's dial does not notice
			return false, cause(ctx)
		}
	}
	c.stage.Store(int32(stagePosting))
	begin := time.Now()
	err = safely(func() error { return c.fluent.PostWithTime(m.tag, m.at, m.body) })
	if err == nil {
		c.secured = false
		return false, nil
	}
	endRemark()
	c.close()
	if time.Since(begin) >= min(c.target.writeTimeout, c.target.ackTimeout) {
		return true, fmt.Errorf("not written within %v or not acknowledged within %v: %w", c.target.writeTimeout, c.target.ackTimeout, err)
	}
	if c.needsTLS(ctx) {
		return false, fmt.Errorf("%w: %w", errNeedsTLS, err)
	}
	return false, fmt.Errorf("connection broken, or not answered with the acknowledgement: %w", err)
}

// endRemark ends the line that the library has begun on os.Stderr when it found no
// acknowledgement: it ends in "Closing connection..." without a newline, and the
// application's next line would go on there.
func endRemark() { _, _ = os.Stderr.WriteString("\n") } // nobody to tell

// errNeedsTLS is the error of a server that speaks TLS on a tcp:// address.
var errNeedsTLS = errors.New("the server speaks TLS, and does not understand plain TCP: use tls://host:port")

// tlsWait bounds the question whether a server speaks TLS.
const tlsWait = time.Second

// needsTLS asks a server that has broken a connection off whether it speaks TLS.
func (c *client) needsTLS(ctx context.Context) bool {
	if c.target.network != "tcp" || c.secured {
		return c.secured
	}
	ctx, cancel := context.WithTimeout(ctx, min(tlsWait, c.target.timeout))
	defer cancel()
	d := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // nothing is sent
	conn, err := d.DialContext(ctx, "tcp", c.target.hostPort())
	var alert tls.AlertError
	c.secured = err == nil || errors.As(err, &alert) // an alert is TLS too: it wants a certificate, say
	if err == nil {
		_ = conn.Close()
	}
	return c.secured
}

// connect probes the server, then makes the library's client. The library's dial
// does not end with ctx, but with the timeout.
func (c *client) connect(ctx context.Context) error {
	if err := c.probe(ctx); err != nil {
		return err
	}
	c.stage.Store(int32(stageDialling))
	return safely(func() error {
		f, err := fluent.New(c.target.client())
		if err != nil {
			return fmt.Errorf("no connection: %w", err) // f has none either: nothing to close
		}
		c.fluent = f
		return nil
	})
}

// probe dials a connection of its own and listens to it.
func (c *client) probe(ctx context.Context) error {
	c.stage.Store(int32(stageDialling))
	conn, err := c.dial(ctx)
	if err != nil {
		return fmt.Errorf("no connection: %w", err)
	}
	defer conn.Close()
	c.stage.Store(int32(stageListening))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	if err := conn.SetReadDeadline(time.Now().Add(greetingWait)); err != nil {
		return fmt.Errorf("listen for a greeting: %w", err)
	}
	greeting := make([]byte, 16)
	n, err := conn.Read(greeting)
	switch greeting = greeting[:n]; {
	case bytes.Contains(greeting, []byte("HELO")): // 92 a4 "HELO", an array of two
		return ErrSharedKey
	case n > 0:
		return fmt.Errorf("not a forward server: it speaks first and says %q", greeting)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return cause(ctx) // nil, mostly
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
		// The library's dial must succeed as well, so this one is no stricter.
		td := &tls.Dialer{NetDialer: d, Config: &tls.Config{InsecureSkipVerify: t.insecure}} //nolint:gosec // opt-in
		return td.DialContext(ctx, "tcp", t.hostPort())
	default:
		return d.DialContext(ctx, "tcp", t.hostPort())
	}
}

// close must not run beside a post: the library would wait for its end.
func (c *client) close() {
	if c.fluent == nil {
		return
	}
	c.stage.Store(int32(stageClosing))
	f := c.fluent
	c.fluent = nil
	// Whatever Close says, the connection is given up.
	_ = safely(f.Close)
}

// safely turns a panic of the library into an error.
func safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("fluent-logger-golang panicked: %v", r)
		}
	}()
	return f()
}

// wireTime makes a time fit the 32 bits that the protocol has for seconds. Time 0
// makes the server take its own.
func wireTime(t time.Time) time.Time {
	if sec := t.Unix(); sec < 0 || sec > math.MaxUint32 {
		return time.Unix(0, 0)
	}
	return t
}
