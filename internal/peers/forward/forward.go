// SPDX-License-Identifier: Apache-2.0

// Package forward is a server of the Forward protocol for tests, with modes in which it
// misbehaves.
package forward

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// Mode is what a Peer does with its connections.
type Mode int

// The modes. A stopped Peer refuses connections.
const (
	Ack         Mode = iota // acknowledge each record
	Hang                    // accept, never read
	NoAck                   // read, never acknowledge
	HeldAck                 // acknowledge after a send on Held
	Reset                   // reset the connection at the first byte
	DropUnacked             // receive the record, then close instead of acknowledging
	WrongAck                // acknowledge another chunk
	CloseAtOnce             // close each new connection
	OnePerConn              // acknowledge, then close: Fluentd's deny_keepalive
	SharedKey               // require a shared key
	SpeaksFirst             // greet like an SSH server
)

// Entry is one record as it arrived.
type Entry struct {
	Tag    string
	Time   time.Time
	Record map[string]any
}

// Peer is a server. It decodes with a generic msgpack reader, independent of the client
// library.
type Peer struct {
	Ended chan struct{} // receives a value for each connection that ended
	Held  chan struct{} // in mode HeldAck, one send releases one acknowledgement
	Got   chan Entry    // receives records as they arrive, unless it is full

	network, address string
	wrap             func(net.Listener) net.Listener // if set, for TLS

	mu       sync.Mutex
	mode     Mode
	listener net.Listener
	down     chan struct{}     // closed by stop
	conns    map[net.Conn]bool // whether a byte has arrived
	entries  []Entry
	dialled  int
	bytes    int // received on all connections together
	most     int // greatest number of simultaneous connections with data
	wg       sync.WaitGroup
}

// New starts a server on a free port and stops it at the end of the test.
func New(tb testing.TB, m Mode) *Peer {
	tb.Helper()
	return Listen(tb, "tcp", "127.0.0.1:0", m, nil)
}

// NewUnix starts a server on a Unix socket.
func NewUnix(tb testing.TB, m Mode) *Peer {
	tb.Helper()
	dir, err := os.MkdirTemp("", "fl") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return Listen(tb, "unix", filepath.Join(dir, "s"), m, nil)
}

// Listen starts a server at an address. wrap may be nil, or wraps the listener.
func Listen(tb testing.TB, network, address string, m Mode, wrap func(net.Listener) net.Listener) *Peer {
	tb.Helper()
	p := &Peer{
		network: network, address: address, mode: m, wrap: wrap,
		Ended: make(chan struct{}, 1000), // more than tests leave unread
		Held:  make(chan struct{}),
		Got:   make(chan Entry, 1000), // likewise
	}
	p.Start(tb)
	tb.Cleanup(p.Stop)
	return p
}

// Start starts the server, after Stop at the same address as before.
func (p *Peer) Start(tb testing.TB) {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), p.network, p.address)
	if err != nil {
		tb.Fatal(err)
	}
	p.mu.Lock()
	down := make(chan struct{})
	p.address = l.Addr().String()
	if p.wrap != nil {
		l = p.wrap(l)
	}
	p.listener, p.conns, p.down = l, map[net.Conn]bool{}, down
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.dialled++
			p.conns[c] = false
			p.mu.Unlock()
			p.wg.Go(func() { p.serve(c, down) })
		}
	})
}

// Stop closes the listener and all connections, like a crash.
func (p *Peer) Stop() {
	p.mu.Lock()
	_ = p.listener.Close()
	select {
	case <-p.down: // stopped before
	default:
		close(p.down)
	}
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// URL returns the address for the configuration of an exporter.
func (p *Peer) URL() string {
	if p.network == "unix" {
		return "unix://" + p.address
	}
	return "tcp://" + p.address
}

// Behave changes the mode.
func (p *Peer) Behave(m Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
}

func (p *Peer) doing() Mode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode
}

// Received returns all records so far.
func (p *Peer) Received() []Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Entry(nil), p.entries...)
}

// Counts returns the number of connections, the greatest number of simultaneous
// connections with data, and the number of bytes received on all of them.
func (p *Peer) Counts() (dialled, most, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dialled, p.most, p.bytes
}

// countingConn counts all bytes that arrive.
type countingConn struct {
	net.Conn
	peer *Peer
}

func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.peer.mu.Lock()
		c.peer.bytes += n
		c.peer.conns[c.Conn] = true
		busy := 0
		for _, b := range c.peer.conns {
			if b {
				busy++
			}
		}
		c.peer.most = max(c.peer.most, busy)
		c.peer.mu.Unlock()
	}
	return n, err
}

func (p *Peer) serve(c net.Conn, down <-chan struct{}) {
	defer func() {
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
		_ = c.Close()
		select {
		case p.Ended <- struct{}{}:
		default:
		}
	}()
	switch p.doing() {
	case CloseAtOnce:
		return
	case SharedKey:
		_, _ = c.Write([]byte("\x92\xa4HELO\x83\xa5nonce\xa4abcd\xa4auth\xa0\xa9keepalive\xc3"))
	case SpeaksFirst:
		_, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n"))
	case Hang:
		<-down
		return
	default:
	}
	r := msgp.NewReader(countingConn{c, p})
	for {
		v, err := r.ReadIntf()
		if err != nil || p.doing() == Reset {
			if tcp, ok := c.(*net.TCPConn); ok && p.doing() == Reset {
				_ = tcp.SetLinger(0)
			}
			return
		}
		if !p.answer(c, v, down) {
			return
		}
	}
}

func (p *Peer) answer(c net.Conn, v any, down <-chan struct{}) bool {
	e, chunk, ok := decode(v)
	if !ok {
		return false
	}
	p.mu.Lock()
	p.entries = append(p.entries, e)
	m := p.mode
	p.mu.Unlock()
	select {
	case p.Got <- e:
	default: // the test does not read it
	}
	switch m {
	case NoAck:
		return true
	case DropUnacked:
		return false
	case WrongAck:
		chunk = "another chunk"
	case HeldAck:
		select {
		case <-p.Held:
		case <-down:
			return false
		}
	default:
	}
	b := msgp.AppendMapHeader(nil, 1)
	b = msgp.AppendString(b, "ack")
	b = msgp.AppendString(b, chunk)
	_, err := c.Write(b)
	return err == nil && m != OnePerConn
}

// decode decodes a message in Message mode of the protocol.
func decode(v any) (e Entry, chunk string, ok bool) {
	a, _ := v.([]any)
	if len(a) != 4 {
		return e, "", false
	}
	tag, ok1 := a[0].(string)
	rec, ok2 := a[2].(map[string]any)
	opt, ok3 := a[3].(map[string]any)
	chunk, ok4 := opt["chunk"].(string)
	at, ok5 := eventTime(a[1])
	return Entry{tag, at, rec}, chunk, ok1 && ok2 && ok3 && ok4 && ok5
}

// eventTime reads extension 0: seconds and nanoseconds, 32 bits each, big endian.
func eventTime(v any) (time.Time, bool) {
	ext, ok := v.(msgp.Extension)
	if !ok || ext.ExtensionType() != 0 || ext.Len() != 8 {
		return time.Time{}, false
	}
	var b [8]byte
	if err := ext.MarshalBinaryTo(b[:]); err != nil {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint32(b[:4])), int64(binary.BigEndian.Uint32(b[4:]))), true
}
