// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/fluent/fluent-logger-golang/fluent"
	"github.com/tinylib/msgp/msgp"
)

// greetingWait is how long connect waits for data on a new connection. A server that
// requires a shared key sends a greeting within one round trip; others send nothing.
const greetingWait = 200 * time.Millisecond

// connection is an open connection to the server, after the handshakes of TLS and of the
// protocol. It sends the messages of fluent-logger-golang, whose client has neither
// authentication, nor certificates of the user, nor dials that a context ends.
type connection struct {
	net.Conn
	raw       net.Conn // Conn without TLS
	target    *target
	replies   *msgp.Reader
	unread    *io.LimitedReader // what replies may still read
	keepalive bool              // false: the server closes the connection after a record
}

// maxReply limits a message of the server, in bytes. HELO, PONG and acknowledgements have
// less than 400.
const maxReply = 8 << 10

var errNoHelo = errors.New("no greeting from the server, which may require no shared key")

// connect connects and authenticates the client and the server, within the timeout of t.
func (t *target) connect(ctx context.Context) (*connection, error) {
	deadline := time.Now().Add(t.Timeout)
	conn, err := t.dial(ctx, deadline)
	if err != nil {
		return nil, fmt.Errorf("no connection: %w", err)
	}
	c := newConnection(conn, t)
	stop := c.closeAfter(ctx)
	defer stop()
	if err = c.SetDeadline(deadline); err == nil {
		err = c.greet()
	}
	if err == nil && stop() {
		return c, nil
	}
	_ = c.raw.Close()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("gave up before the end of the handshake: %w", cause(ctx))
	case errors.Is(err, errNoHelo) && t.needsTLS(ctx):
		return nil, fmt.Errorf("%w: %w", errNeedsTLS, err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("not authenticated within %v: %w", t.Timeout, err)
	default:
		return nil, err
	}
}

// dial returns a new connection, after the TLS handshake if there is one.
func (t *target) dial(ctx context.Context, deadline time.Time) (net.Conn, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	network := "tcp"
	if t.scheme == "unix" {
		network = "unix"
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, t.endpoint)
	if err != nil || t.scheme != "tls" {
		return conn, err
	}
	config, err := t.tlsConfig()
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
		return nil, t.explain(err)
	}
	return secured, nil
}

func newConnection(conn net.Conn, t *target) *connection {
	unread := &io.LimitedReader{R: conn}
	c := &connection{Conn: conn, raw: conn, target: t, replies: msgp.NewReaderSize(unread, 512), unread: unread, keepalive: true}
	if secured, ok := conn.(*tls.Conn); ok {
		c.raw = secured.NetConn()
	}
	// The limits of the memory that a message may take.
	c.replies.SetMaxElements(1024)
	c.replies.SetMaxStringLength(maxReply)
	c.replies.SetMaxRecursionDepth(8)
	return c
}

// closeAfter closes the connection when ctx is done, which ends a read or a write. It sets no
// deadline for that, because the next deadline would replace it. stop prevents the closing and
// reports whether it was in time.
func (c *connection) closeAfter(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.raw.Close() })
}

// receive reads the next message of the server with decode.
func (c *connection) receive(decode func(*msgp.Reader) error) error {
	c.unread.N = maxReply
	err := decode(c.replies)
	if err != nil && c.unread.N == 0 {
		return fmt.Errorf("a message of more than %d bytes", maxReply)
	}
	return err
}

// receiveValue is receive for a message of any type.
func (c *connection) receiveValue() (v any, err error) {
	err = c.receive(func(r *msgp.Reader) error {
		v, err = r.ReadIntf()
		return err
	})
	return v, err
}

// greet performs the handshake of the protocol.
func (c *connection) greet() error {
	if !c.target.authenticates() {
		return c.awaitNoGreeting()
	}
	v, err := c.receiveValue()
	if err != nil {
		return fmt.Errorf("%w: %w", errNoHelo, c.target.explain(err))
	}
	h, err := parseHelo(v)
	if err != nil {
		return fmt.Errorf("not a forward server: %w", err)
	}
	salt := newSalt()
	if _, err = c.Write(c.target.ping(h, salt)); err != nil {
		return fmt.Errorf("send PING: %w", err)
	}
	if v, err = c.receiveValue(); err != nil { // Fluent Bit closes the connection without an answer
		return fmt.Errorf("no answer to the SharedKey and Username, which may be wrong: %w", err)
	}
	p, err := parsePong(v)
	if err != nil {
		return fmt.Errorf("not a forward server: %w", err)
	}
	c.keepalive = h.keepalive
	return c.target.verify(p, h, salt)
}

// awaitNoGreeting returns nil if the server sends nothing within greetingWait.
func (c *connection) awaitNoGreeting() error {
	if err := c.SetReadDeadline(time.Now().Add(greetingWait)); err != nil {
		return fmt.Errorf("wait for a greeting: %w", err)
	}
	const helo = "\x92\xa4HELO" // an array of two, the first of which is the text HELO
	greeting := make([]byte, 16)
	n, err := io.ReadAtLeast(c, greeting, len(helo))
	switch greeting = greeting[:n]; {
	case bytes.HasPrefix(greeting, []byte(helo)):
		return ErrSharedKey
	case n > 0:
		return fmt.Errorf("not a forward server: it sent %q first", greeting)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	default:
		return fmt.Errorf("server closes new connections: %w", c.target.explain(err))
	}
}

// post sends a record and returns when the server has acknowledged it.
func (c *connection) post(tag string, at time.Time, record msgp.Raw) error {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	chunk := base64.StdEncoding.EncodeToString(id[:])
	message := fluent.MessageExt{Tag: tag, Time: fluent.EventTime(wireTime(at)), Record: record, Option: map[string]string{"chunk": chunk}}
	b, err := message.MarshalMsg(nil)
	if err != nil {
		return err
	}
	if err := c.SetDeadline(time.Now().Add(c.target.WriteTimeout)); err != nil {
		return err
	}
	if _, err := c.Write(b); err != nil {
		return err
	}
	if err := c.SetDeadline(time.Now().Add(c.target.AckTimeout)); err != nil {
		return err
	}
	var reply fluent.AckResp
	err = c.receive(reply.DecodeMsg)
	if err == nil && reply.Ack != chunk {
		err = errors.New("the acknowledgement is of another record")
	}
	return err
}
