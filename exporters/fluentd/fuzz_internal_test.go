// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/iotest"

	"github.com/fluent/fluent-logger-golang/fluent"
	"github.com/tinylib/msgp/msgp"
)

// FuzzServerMessages decodes what a server may send. Reading it in pieces of one byte gives the
// same result or fails, because msgp does not read timestamps in pieces. A server without the key
// is not accepted.
func FuzzServerMessages(f *testing.F) {
	f.Add([]byte("\x92\xa4HELO\x83\xa5nonce\xc4\x04abcd\xa4auth\xa0\xa9keepalive\xc2"))
	f.Add([]byte("\x95\xa4PONG\xc2\xb3shared_key mismatch\xa0\xa0"))
	f.Add([]byte("\x81\xa3ack\xa2id\x81\xa3ack\xa2id"))
	f.Add([]byte("\x92\xa4HELO\xdf\xff\xff\xff\xff"))
	f.Add([]byte("\x92\xa4HELO\x81\xa5nonce\xdb\xff\xff\xff\xff"))
	f.Add([]byte("\xdd\xff\xff\xff\xff\xc0"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		client := &target{Config: Config{SharedKey: "key", Hostname: "me"}}
		at := func(r io.Reader) *connection { return newConnection(readConn{r: r}, client) }
		v, err := at(bytes.NewReader(sent)).receiveValue()
		slow, slowErr := at(iotest.OneByteReader(bytes.NewReader(sent))).receiveValue()
		h, errHelo := parseHelo(v)
		p, errPong := parsePong(v)
		slowHelo, _ := parseHelo(slow)
		slowPong, _ := parsePong(slow)
		if err == nil && slowErr == nil && (h != slowHelo || p != slowPong) {
			t.Errorf("at once: %v, %v; byte by byte: %v, %v", v, err, slow, slowErr)
		}
		var reply fluent.AckResp
		_ = at(bytes.NewReader(sent)).receive(reply.DecodeMsg)
		if len(reply.Ack) > maxReply {
			t.Errorf("an acknowledgement of %d bytes", len(reply.Ack))
		}
		if errHelo == nil && (h.nonce == "" || len(h.nonce)+len(h.salt) > len(sent)) {
			t.Errorf("HELO with %d + %d bytes from %d", len(h.nonce), len(h.salt), len(sent))
		}
		if errPong == nil && client.verify(p, h, "salt") == nil {
			t.Errorf("a PONG without the key was accepted: %+v", p)
		}
	})
}

// readConn is a connection that only reads.
type readConn struct {
	net.Conn
	r io.Reader
}

func (c readConn) Read(b []byte) (int, error) { return c.r.Read(b) }

// FuzzPing checks that a server can decode the PING and finds the digests of the protocol.
func FuzzPing(f *testing.F) {
	f.Add("key", "user", "password", "host", []byte("nonce"), []byte("salt"))
	f.Add("", "", "", "", []byte("\x00\xff"), []byte(nil))
	f.Fuzz(func(t *testing.T, key, user, password, host string, nonce, salt []byte) {
		client := &target{Config: Config{SharedKey: key, Username: user, Password: password, Hostname: host}}
		greeting := helo{nonce: string(nonce), salt: string(salt)}
		b := client.ping(greeting, "0123")
		v, rest, err := msgp.ReadIntfBytes(b)
		ping, ok := v.([]any)
		if err != nil || len(rest) > 0 || !ok || len(ping) != 6 || ping[0] != "PING" || ping[1] != host || ping[2] != "0123" {
			t.Fatalf("PING %q: %v", b, err)
		}
		if want := salted("0123", host, string(nonce), key); ping[3] != want {
			t.Errorf("digest %v, want %v", ping[3], want)
		}
		p := pong{accepted: true, hostname: host + "2", digest: salted("0123", host+"2", string(nonce), key)}
		if err := client.verify(p, greeting, "0123"); err != nil {
			t.Errorf("the PONG of a server with the key: %v", err)
		}
	})
}
