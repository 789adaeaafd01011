// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/tinylib/msgp/msgp"
)

// FuzzServerMessages decodes what a server may send. A message that is accepted is within
// the limits, and reading it in pieces of one byte gives the same result.
func FuzzServerMessages(f *testing.F) {
	f.Add([]byte("\x92\xa4HELO\x83\xa5nonce\xc4\x04abcd\xa4auth\xa0\xa9keepalive\xc2"))
	f.Add([]byte("\x95\xa4PONG\xc2\xb3shared_key mismatch\xa0\xa0"))
	f.Add([]byte("\x81\xa3ack\xa2id\x81\xa3ack\xa2id"))
	f.Add([]byte("\x92\xa4HELO\xdf\xff\xff\xff\xff"))
	f.Add([]byte("\x92\xa4HELO\x81\xa5nonce\xdb\xff\xff\xff\xff"))
	f.Add([]byte("\xdd\xff\xff\xff\xff\xc0"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		message, rest, err := nextMessage(bytes.NewReader(sent), nil)
		slow, slowRest, slowErr := nextMessage(iotest.OneByteReader(bytes.NewReader(sent)), nil)
		if (err == nil) != (slowErr == nil) || !bytes.Equal(message, slow) || len(slowRest) != 0 {
			t.Errorf("at once: %q, %v; byte by byte: %q, %v, %d bytes after it", message, err, slow, slowErr, len(slowRest))
		}
		if err != nil {
			return
		}
		if len(message) == 0 || len(message) > maxReply || !bytes.HasPrefix(sent, append(message, rest...)) {
			t.Fatalf("%q and %q of %q", message, rest, sent)
		}
		second, _, _ := nextMessage(iotest.ErrReader(io.EOF), sent[len(message):min(len(sent), maxReply)])
		if len(second) > 0 && !bytes.HasPrefix(sent[len(message):], second) {
			t.Errorf("second message %q of %q", second, sent)
		}
		h, err := parseHelo(message)
		if err == nil && (len(h.nonce) == 0 || len(h.nonce)+len(h.salt) > len(message)) {
			t.Errorf("HELO with %d + %d bytes from %d", len(h.nonce), len(h.salt), len(message))
		}
		p, err := parsePong(message)
		c := credentials{sharedKey: "key", hostname: "me"}
		if err == nil && c.verify(&p, &h, "salt") == nil {
			t.Errorf("a PONG without the key was accepted: %+v", p)
		}
		_, _ = parseAck(message)
	})
}

// FuzzPing checks that a server can decode the PING and finds the digests of the protocol.
func FuzzPing(f *testing.F) {
	f.Add("key", "user", "password", "host", []byte("nonce"), []byte("salt"))
	f.Add("", "", "", "", []byte("\x00\xff"), []byte(nil))
	f.Fuzz(func(t *testing.T, key, user, password, host string, nonce, salt []byte) {
		c := credentials{sharedKey: key, username: user, password: password, hostname: host}
		b := c.ping(&helo{nonce: nonce, salt: salt}, "0123")
		v, rest, err := msgp.ReadIntfBytes(b)
		ping, ok := v.([]any)
		if err != nil || len(rest) > 0 || !ok || len(ping) != 6 || ping[0] != "PING" || ping[1] != host || ping[2] != "0123" {
			t.Fatalf("PING %q: %v", b, err)
		}
		if want := salted("0123", host, string(nonce), key); ping[3] != want {
			t.Errorf("digest %v, want %v", ping[3], want)
		}
		p := pong{accepted: true, hostname: host + "2", digest: salted("0123", host+"2", string(nonce), key)}
		if err := c.verify(&p, &helo{nonce: nonce, salt: salt}, "0123"); err != nil {
			t.Errorf("the PONG of a server with the key: %v", err)
		}
	})
}
