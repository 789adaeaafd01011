// SPDX-License-Identifier: Apache-2.0

package fluentd_test

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/internal/peers/forward"
	"github.com/gmpulse/gmpulse/internal/testutil"
)

// guard is the server's half of the handshake, in front of a peer. Each faulty guard
// deviates in one function.
type guard struct {
	nonce, salt string
	binary      bool // nonce and salt are bytes, as from Fluentd and the npm server, else strings, as from Fluent Bit
	keepalive   bool
	key         string
	passwords   map[string]string // nil: no users
	name        string            // of the server, else "server"
	closes      bool              // at a wrong key, as Fluent Bit does

	helo  func() []byte            // if set: the greeting; nil is silence
	pong  func(fine []byte) []byte // if set: changes the answer to a correct PING; nil is silence
	pings chan []any               // receives each PING, unless it is nil or full
}

// wrap returns a listener whose connections begin with a handshake.
func (g *guard) wrap(l net.Listener) net.Listener { return &guardedListener{l, g} }

type guardedListener struct {
	net.Listener
	guard *guard
}

func (l *guardedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &guardedConn{Conn: c, guard: l.guard}, nil
}

// guardedConn performs the handshake in the first Read.
type guardedConn struct {
	net.Conn
	guard *guard
	once  sync.Once
	err   error
}

func (c *guardedConn) Read(b []byte) (int, error) {
	c.once.Do(func() { c.err = c.guard.check(c.Conn) })
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(b)
}

var errRefused = errors.New("refused")

func digest(parts ...string) string {
	return fmt.Sprintf("%x", sha512.Sum512([]byte(strings.Join(parts, ""))))
}

func (g *guard) check(c net.Conn) error {
	hello := g.greeting()
	if g.helo != nil {
		hello = g.helo()
	}
	for i := range hello { // one byte at a time
		if _, err := c.Write(hello[i : i+1]); err != nil {
			return err
		}
	}
	v, err := msgp.NewReaderSize(c, 18).ReadIntf() // the smallest, and the client sends no more before the PONG
	if err != nil {
		return err
	}
	ping, _ := v.([]any)
	select {
	case g.pings <- ping:
	default:
	}
	name := g.name
	if name == "" {
		name = "server"
	}
	reason := g.refuse(ping, name)
	if reason != "" && g.closes {
		return io.EOF
	}
	answer := []any{"PONG", reason == "", reason, "", ""}
	if reason == "" {
		answer[3], answer[4] = name, digest(ping[2].(string), name, g.nonce, g.key)
	}
	b, err := msgp.AppendIntf(nil, answer)
	if err != nil {
		return err
	}
	if g.pong != nil {
		b = g.pong(b)
	}
	if _, err := c.Write(b); err != nil {
		return err
	}
	if reason != "" {
		return errRefused
	}
	return nil
}

func (g *guard) greeting() []byte {
	text := func(s string) any { return s }
	if g.binary {
		text = func(s string) any { return []byte(s) }
	}
	b, err := msgp.AppendIntf(nil, []any{"HELO", map[string]any{
		"nonce": text(g.nonce), "auth": text(g.salt), "keepalive": g.keepalive, "future": []any{1, "x"},
	}})
	if err != nil {
		panic(err)
	}
	return b
}

// refuse returns why the server refuses a PING.
func (g *guard) refuse(ping []any, name string) string {
	if len(ping) != 6 || ping[0] != "PING" {
		return "malformed"
	}
	var s [6]string
	for i := range s {
		s[i], _ = ping[i].(string)
	}
	password, known := g.passwords[s[4]]
	switch {
	case s[1] == name:
		return "Same hostname between input and output: invalid configuration"
	case s[3] != digest(s[2], s[1], g.nonce, g.key):
		return "shared_key mismatch"
	case g.passwords != nil && (!known || s[5] != digest(g.salt, s[4], password)):
		return "username/password mismatch"
	default:
		return ""
	}
}

// guarded starts a peer behind g.
func guarded(t *testing.T, g *guard, m mode) *peer {
	t.Helper()
	return forward.Listen(t, "tcp", "127.0.0.1:0", m, g.wrap)
}

const nonce = "0123\x00\xff\x0089abcdef" // bytes that are no text

func TestSharedKeyAndUser(t *testing.T) {
	users := map[string]string{"checkout": "p4ss"}
	for name, test := range map[string]struct {
		guard guard
		cfg   fluentd.Config
		want  string // in the error; "": the records arrive
	}{
		"key":                {guard: guard{key: "k3y", keepalive: true}, cfg: fluentd.Config{SharedKey: "k3y"}},
		"bytes":              {guard: guard{key: "k3y", keepalive: true, binary: true}, cfg: fluentd.Config{SharedKey: "k3y"}},
		"one record each":    {guard: guard{key: "k3y"}, cfg: fluentd.Config{SharedKey: "k3y"}},
		"user":               {guard: guard{key: "k3y", salt: "s4lt", keepalive: true, passwords: users}, cfg: fluentd.Config{SharedKey: "k3y", Username: "checkout", Password: "p4ss"}},
		"user, empty key":    {guard: guard{salt: "s4lt", keepalive: true, passwords: users}, cfg: fluentd.Config{Username: "checkout", Password: "p4ss"}},
		"user for nothing":   {guard: guard{key: "k3y", keepalive: true}, cfg: fluentd.Config{SharedKey: "k3y", Username: "checkout", Password: "p4ss"}},
		"salt without users": {guard: guard{key: "k3y", salt: "s4lt", keepalive: true}, cfg: fluentd.Config{SharedKey: "k3y"}},

		"wrong key":         {guard: guard{key: "k3y"}, cfg: fluentd.Config{SharedKey: "other"}, want: `refuses the client's SharedKey, Username or Hostname: "shared_key mismatch"`},
		"wrong key, closed": {guard: guard{key: "k3y", closes: true}, cfg: fluentd.Config{SharedKey: "other"}, want: "no answer to the SharedKey and Username, which may be wrong"},
		"wrong password":    {guard: guard{key: "k3y", salt: "s4lt", passwords: users}, cfg: fluentd.Config{SharedKey: "k3y", Username: "checkout", Password: "no"}, want: `"username/password mismatch"`},
		"no user":           {guard: guard{key: "k3y", salt: "s4lt", passwords: users}, cfg: fluentd.Config{SharedKey: "k3y"}, want: "has no Username"},
		"no key":            {guard: guard{key: "k3y"}, want: fluentd.ErrSharedKey.Error()},
		"same name":         {guard: guard{key: "k3y", name: "me"}, cfg: fluentd.Config{SharedKey: "k3y", Hostname: "me"}, want: "Same hostname"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.guard.nonce = nonce
			p := guarded(t, &test.guard, ack)
			test.cfg.URL = p.URL()
			exp := newExporter(t, test.cfg)
			for seq := range uint64(3) {
				err := exp.Export(t.Context(), snapshot(seq))
				switch {
				case test.want == "" && err != nil:
					t.Fatalf("Export: %v", err)
				case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
					t.Fatalf("Export: %v, want %q", err, test.want)
				case err != nil && (strings.Contains(err.Error(), "k3y") || strings.Contains(err.Error(), "p4ss")):
					t.Fatalf("a secret in the error: %v", err)
				}
			}
			want := map[bool]int{true: 3}[test.want == ""]
			if n := len(p.Received()); n != want {
				t.Errorf("%d records arrived, want %d", n, want)
			}
			connections := map[bool]int{true: 1, false: 3}[test.guard.keepalive]
			if dialled, _, _ := p.Counts(); test.want == "" && dialled != connections {
				t.Errorf("%d connections, want %d", dialled, connections)
			}
		})
	}
}

// The PING has neither the key nor the password.
func TestSecretsAreNotSent(t *testing.T) {
	g := &guard{nonce: nonce, key: "k3y", salt: "s4lt", keepalive: true, passwords: map[string]string{"checkout": "p4ss"}, pings: make(chan []any, 1)}
	p := guarded(t, g, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL(), SharedKey: "k3y", Username: "checkout", Password: "p4ss"})
	if err := exp.Export(t.Context(), snapshot(1)); err != nil {
		t.Fatal(err)
	}
	sent := fmt.Sprint(<-g.pings)
	if strings.Contains(sent, "k3y") || strings.Contains(sent, "p4ss") || !strings.Contains(sent, "gmpulse-") {
		t.Errorf("PING: %s", sent)
	}
}

// A server that fails in the handshake receives no record, and the exporter does not wait
// longer than its Timeout.
func TestFaultyHandshakes(t *testing.T) {
	constant := func(s string) func() []byte { return func() []byte { return []byte(s) } }
	answer := func(s string) func([]byte) []byte { return func([]byte) []byte { return []byte(s) } }
	const hangs = true
	for name, test := range map[string]struct {
		hangs bool
		guard guard
		want  string
	}{
		"no HELO":                       {hangs, guard{helo: constant("")}, "no greeting from the server, which may require no shared key"},
		"half a HELO":                   {hangs, guard{helo: constant("\x92\xa4HEL")}, "no greeting from the server"},
		"another protocol":              {!hangs, guard{helo: constant("SSH-2.0-OpenSSH_9.9\r\n")}, "not a forward server: not a HELO but"},
		"a nonce of 2 GiB":              {!hangs, guard{helo: constant("\x92\xa4HELO\x81\xa5nonce\xdb\x7f\xff\xff\xffxxxx")}, "limit exceeded"},
		"bytes of 2 GiB":                {!hangs, guard{helo: constant("\x92\xa4HELO\x81\xa5nonce\xc6\x7f\xff\xff\xffxxxx")}, "limit exceeded"},
		"a list of 2 GiB":               {!hangs, guard{helo: constant("\x92\xa4HELO\xdd\x7f\xff\xff\xff\xc0")}, "limit exceeded"},
		"endless HELO":                  {!hangs, guard{helo: constant("\x92\xa4HELO\xdc\x04\x00" + strings.Repeat("\xd9\x0f"+strings.Repeat("x", 15), 1000))}, "more than 8192 bytes"},
		"deep HELO":                     {!hangs, guard{helo: constant("\x92\xa4HELO" + strings.Repeat("\x91", 1000))}, "no greeting from the server"},
		"no nonce":                      {!hangs, guard{helo: constant("\x92\xa4HELO\x80")}, "malformed HELO: no nonce"},
		"options are a list":            {!hangs, guard{helo: constant("\x92\xa4HELO\x91\xa1x")}, "malformed HELO"},
		"not msgpack":                   {!hangs, guard{helo: constant("\xc1")}, "no greeting from the server"},
		"no PONG":                       {hangs, guard{pong: answer("")}, "no answer to the SharedKey"},
		"half a PONG":                   {hangs, guard{pong: func(b []byte) []byte { return b[:len(b)-1] }}, "no answer to the SharedKey"},
		"another HELO":                  {!hangs, guard{pong: answer("\x92\xa4HELO\x80")}, "not a PONG but"},
		"strange PONG":                  {!hangs, guard{pong: answer("\x95\xa4PONG\x01\x02\x03\x04")}, "malformed PONG"},
		"server without key":            {!hangs, guard{pong: func(b []byte) []byte { return append(b[:len(b)-1], 'x') }}, "does not prove that it has the SharedKey"},
		"server with the client's name": {!hangs, guard{pong: answer("\x95\xa4PONG\xc3\xa0\xa2me\xa0")}, `the client's name "me"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.guard.nonce, test.guard.key = nonce, "k3y"
			p := guarded(t, &test.guard, ack)
			timeout := map[bool]time.Duration{hangs: short}[test.hangs]
			exp := newExporter(t, fluentd.Config{URL: p.URL(), SharedKey: "k3y", Hostname: "me", Timeout: timeout})
			begin := time.Now()
			err := exp.Export(t.Context(), snapshot(1))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Export: %v, want %q", err, test.want)
			}
			if took := time.Since(begin); took > short+slack {
				t.Errorf("took %v", took)
			}
			if n := len(p.Received()); n != 0 {
				t.Errorf("%d records arrived", n)
			}
		})
	}
}

// The context bounds a handshake that hangs, and Shutdown does not wait for it.
func TestContextBoundsTheHandshake(t *testing.T) {
	p := guarded(t, &guard{helo: func() []byte { return nil }}, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL(), SharedKey: "k3y", Timeout: ample})
	err := within(t, 200*time.Millisecond, func(ctx context.Context) error { return exp.Export(ctx, snapshot(1)) })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Export: %v", err)
	}
	if err := within(t, time.Second, exp.Shutdown); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// A server that fails after the handshake is handled like one without authentication.
func TestSessionFailures(t *testing.T) {
	for name, test := range map[string]struct {
		mode    mode
		timeout time.Duration
		want    string
	}{
		"hang":      {noAck, short, "not acknowledged within 300ms"},
		"drop":      {dropUnacked, ample, "connection broken, or not answered with the acknowledgement: EOF"},
		"reset":     {reset, ample, "connection broken"},
		"wrong ack": {wrongAck, ample, "the acknowledgement is of another record"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := guarded(t, &guard{nonce: nonce, key: "k3y", keepalive: true}, test.mode)
			exp := newExporter(t, fluentd.Config{URL: p.URL(), SharedKey: "k3y", AckTimeout: test.timeout})
			if err := exp.Export(t.Context(), snapshot(1)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Export: %v, want %q", err, test.want)
			}
			p.Behave(ack)
			testutil.Eventually(t, "an Export succeeds", func() bool { return exp.Export(t.Context(), snapshot(2)) == nil })
		})
	}
}

// A server that restarts, or closes a connection without notice, costs no record.
func TestSessionIsReplaced(t *testing.T) {
	p := guarded(t, &guard{nonce: nonce, key: "k3y", keepalive: true}, onePerConn)
	exp := newExporter(t, fluentd.Config{URL: p.URL(), SharedKey: "k3y"})
	for seq := range uint64(4) {
		if seq == 2 {
			p.Stop()
			p.Start(t)
		}
		if err := exp.Export(t.Context(), snapshot(seq)); err != nil {
			t.Errorf("Export %d: %v", seq, err)
		}
	}
	if n := len(p.Received()); n != 4 {
		t.Errorf("%d records arrived, want 4", n)
	}
}

func TestSharedKeyErrorSuggestsTLS(t *testing.T) {
	p, _, _ := tlsPeer(t)
	exp := newExporter(t, fluentd.Config{URL: p.URL(), SharedKey: "k3y", Timeout: time.Second})
	if err := exp.Export(t.Context(), snapshot(1)); err == nil || !strings.Contains(err.Error(), "use tls://") {
		t.Errorf("Export: %v", err)
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  fluentd.Config
		want string
	}{
		"no password": {fluentd.Config{Username: "me"}, "Username and Password (is set and is not set): want both or none"},
		"no user":     {fluentd.Config{Password: "p4ss"}, "Username and Password (is not set and is set): want both or none"},
		"long name":   {fluentd.Config{Hostname: strings.Repeat("x", 256)}, "Hostname of 256 bytes: want at most 255"},
	} {
		t.Run(name, func(t *testing.T) {
			test.cfg.URL = "tcp://localhost"
			_, err := fluentd.New(test.cfg)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "p4ss") {
				t.Errorf("New: %v, want %q", err, test.want)
			}
		})
	}
}
