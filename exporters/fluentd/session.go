// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/fluent/fluent-logger-golang/fluent"
	"github.com/tinylib/msgp/msgp"
)

// session is a connection to the server. It sends the messages of fluent-logger-golang, whose client
// has neither authentication, nor certificates of the user, nor dials that a context ends.
type session struct {
	conn      net.Conn
	target    *target
	keepalive bool   // false: the server closes the connection after a record
	broken    bool   // a post failed
	received  []byte // and not yet decoded
}

// maxReply is the maximum size of a message of the server, in bytes. HELO, PONG and
// acknowledgements have less than 400.
const maxReply = 8 << 10

var errNoHelo = errors.New("no greeting from the server, which may require no shared key")

// openSession connects and authenticates the client and the server, within the timeout of t.
func openSession(ctx context.Context, t *target, stage *atomic.Value) (_ *session, err error) {
	limited, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	stage.Store(stageDialing)
	conn, err := t.dial(limited)
	if err != nil {
		return nil, fmt.Errorf("no connection: %w", err)
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	s := &session{conn: conn, target: t, keepalive: true}
	stage.Store(stageListening)
	if !t.credentials.used() {
		return s, awaitNoGreeting(ctx, t, conn)
	}
	stop := context.AfterFunc(limited, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = s.authenticate(stage)
	switch stopped := stop(); {
	case stopped:
		return s, err
	case ctx.Err() != nil:
		return nil, fmt.Errorf("gave up while %s: %w", stage.Load(), cause(ctx))
	case err == nil:
		return nil, cause(limited) // the function above may set the deadline at any time
	default:
		return nil, fmt.Errorf("not authenticated within %v: %w", t.timeout, err)
	}
}

// authenticate performs the handshake of the protocol.
func (s *session) authenticate(stage *atomic.Value) error {
	b, err := s.receive()
	if err != nil {
		return fmt.Errorf("%w: %w", errNoHelo, s.target.tls.explain(err))
	}
	h, err := parseHelo(b)
	if err != nil {
		return fmt.Errorf("not a forward server: %w", err)
	}
	stage.Store(stageAuthenticating)
	salt := newSalt()
	if _, err = s.conn.Write(s.target.credentials.ping(&h, salt)); err != nil {
		return fmt.Errorf("send PING: %w", err)
	}
	b, err = s.receive()
	if err != nil { // Fluent Bit closes the connection without an answer
		return fmt.Errorf("no answer to the SharedKey and Username, which may be wrong: %w", err)
	}
	p, err := parsePong(b)
	if err != nil {
		return fmt.Errorf("not a forward server: %w", err)
	}
	s.keepalive = h.keepalive
	return s.target.credentials.verify(&p, &h, salt)
}

// post sends a record and returns when the server has acknowledged it. keep reports whether the
// connection is usable for another one.
func (s *session) post(m message) (keep bool, err error) {
	if err = s.send(m); err != nil {
		s.broken = true
		return false, s.target.tls.explain(err)
	}
	return s.keepalive, nil
}

func (s *session) send(m message) error {
	chunk := newChunk()
	wire := fluent.MessageExt{Tag: m.tag, Time: fluent.EventTime(m.at), Record: m.body, Option: map[string]string{"chunk": chunk}}
	b, err := wire.MarshalMsg(nil)
	if err != nil {
		return err
	}
	if err := s.conn.SetDeadline(time.Now().Add(s.target.writeTimeout)); err != nil {
		return err
	}
	if _, err := s.conn.Write(b); err != nil {
		return err
	}
	if err := s.conn.SetDeadline(time.Now().Add(s.target.ackTimeout)); err != nil {
		return err
	}
	if b, err = s.receive(); err != nil {
		return err
	}
	acked, err := parseAck(b)
	if err == nil && acked != chunk {
		err = errors.New("the acknowledgement is of another record")
	}
	return err
}

// newChunk returns the name by which the server acknowledges a record.
func newChunk() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

// close closes the connection.
func (s *session) close() {
	conn := s.conn
	if secured, ok := conn.(*tls.Conn); ok && s.broken {
		conn = secured.NetConn() // a TLS close would try for 5 s to tell the server
	}
	_ = conn.Close()
}

// receive returns the next message of the server.
func (s *session) receive() (b []byte, err error) {
	b, s.received, err = nextMessage(s.conn, s.received)
	return b, err
}

// nextMessage returns the first complete msgpack value of received and r together, and
// what was read after it. It reads no more than maxReply bytes.
func nextMessage(r io.Reader, received []byte) (message, rest []byte, err error) {
	buf := append(make([]byte, 0, maxReply), received...)
	for {
		if len(buf) > 0 {
			rest, err = msgp.Skip(buf)
			if err == nil {
				return buf[:len(buf)-len(rest)], rest, nil
			}
			if !errors.Is(err, msgp.ErrShortBytes) {
				return nil, nil, fmt.Errorf("not msgpack: %w", err)
			}
		}
		if len(buf) == maxReply {
			return nil, nil, fmt.Errorf("a message of more than %d bytes", maxReply)
		}
		n, err := r.Read(buf[len(buf):maxReply])
		buf = buf[:len(buf)+n]
		if n == 0 && err != nil {
			return nil, nil, err
		}
	}
}
