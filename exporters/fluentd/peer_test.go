package fluentd_test

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

// What a peer does with its connections.
type mode int

const (
	ack         mode = iota // acknowledge each record
	hang                    // accept, never read
	noAck                   // read, never acknowledge
	heldAck                 // acknowledge after release only
	reset                   // reset the connection at the first byte
	dropUnacked             // take the record, then close instead of acknowledging
	wrongAck                // acknowledge something else
	closeAtOnce             // close each new connection
	onePerConn              // acknowledge, then close: Fluentd's deny_keepalive
	sharedKey               // ask for a shared key
	speaksFirst             // be an SSH server
)

// entry is one record as it arrived.
type entry struct {
	tag    string
	time   time.Time
	record map[string]any
}

// peer is a forward server that misbehaves on demand. It decodes with a generic
// msgpack reader, so it sees what any server would see.
type peer struct {
	network, address string
	ended            chan struct{} // one for each connection that ended
	held             chan struct{} // heldAck: one send lets one acknowledgement go
	got              chan entry    // tells of records as they arrive, if someone listens

	wrap func(net.Listener) net.Listener // if set, for TLS

	mu       sync.Mutex
	mode     mode
	listener net.Listener
	down     chan struct{}     // closed by stop
	conns    map[net.Conn]bool // true once it has carried a byte
	entries  []entry
	dialled  int
	bytes    int // received on all connections together
	most     int // connections that carried something, at one moment
	wg       sync.WaitGroup
}

func newPeer(t *testing.T, m mode) *peer {
	t.Helper()
	return startPeer(t, "tcp", "127.0.0.1:0", m)
}

func newUnixPeer(t *testing.T, m mode) *peer {
	t.Helper()
	dir, err := os.MkdirTemp("", "fl") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return startPeer(t, "unix", filepath.Join(dir, "s"), m)
}

func startPeer(t *testing.T, network, address string, m mode) *peer {
	t.Helper()
	p := &peer{
		network: network, address: address, mode: m,
		ended: make(chan struct{}, 1000), // likewise
		held:  make(chan struct{}),
		got:   make(chan entry, 1000), // more than any test sends unread
	}
	p.start(t)
	t.Cleanup(p.stop)
	return p
}

// start listens, at the same address as before if it was stopped.
func (p *peer) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen(p.network, p.address)
	if err != nil {
		t.Fatal(err)
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

// stop is a crash: connections end, whatever they were at.
func (p *peer) stop() {
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

func (p *peer) url() string {
	if p.network == "unix" {
		return "unix://" + p.address
	}
	return "tcp://" + p.address
}

func (p *peer) behave(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
}

func (p *peer) doing() mode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode
}

func (p *peer) received() []entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]entry(nil), p.entries...)
}

// Read counts what arrives, also what cannot be decoded.
type countingConn struct {
	net.Conn
	peer *peer
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

func (p *peer) serve(c net.Conn, down <-chan struct{}) {
	defer func() {
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
		_ = c.Close()
		select {
		case p.ended <- struct{}{}:
		default:
		}
	}()
	switch p.doing() {
	case closeAtOnce:
		return
	case sharedKey:
		_, _ = c.Write([]byte("\x92\xa4HELO\x83\xa5nonce\xa4abcd\xa4auth\xa0\xa9keepalive\xc3"))
	case speaksFirst:
		_, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n"))
	case hang:
		<-down
		return
	default:
	}
	r := msgp.NewReader(countingConn{c, p})
	for {
		v, err := r.ReadIntf()
		if err != nil || p.doing() == reset {
			if tcp, ok := c.(*net.TCPConn); ok && p.doing() == reset {
				_ = tcp.SetLinger(0)
			}
			return
		}
		if !p.answer(c, v, down) {
			return
		}
	}
}

func (p *peer) answer(c net.Conn, v any, down <-chan struct{}) bool {
	e, chunk, ok := decode(v)
	if !ok {
		return false
	}
	p.mu.Lock()
	p.entries = append(p.entries, e)
	m := p.mode
	p.mu.Unlock()
	select {
	case p.got <- e:
	default: // nobody listens
	}
	switch m {
	case noAck:
		return true
	case dropUnacked:
		return false
	case wrongAck:
		chunk = "somebody else's"
	case heldAck:
		select {
		case <-p.held:
		case <-down:
			return false
		}
	default:
	}
	b := msgp.AppendMapHeader(nil, 1)
	b = msgp.AppendString(b, "ack")
	b = msgp.AppendString(b, chunk)
	_, err := c.Write(b)
	return err == nil && m != onePerConn
}

// decode takes a message of the forward protocol's Message mode apart.
func decode(v any) (e entry, chunk string, ok bool) {
	a, _ := v.([]any)
	if len(a) != 4 {
		return e, "", false
	}
	tag, ok1 := a[0].(string)
	rec, ok2 := a[2].(map[string]any)
	opt, ok3 := a[3].(map[string]any)
	chunk, ok4 := opt["chunk"].(string)
	at, ok5 := eventTime(a[1])
	return entry{tag, at, rec}, chunk, ok1 && ok2 && ok3 && ok4 && ok5
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
