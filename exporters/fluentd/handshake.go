// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/tinylib/msgp/msgp"
)

// The handshake of the Forward protocol, version 1. The server sends HELO with a nonce, the
// client answers with PING, and the server with PONG. Each of the two proves that it has the
// shared key, and the client that it has the password of a user, with a SHA-512 digest.
// https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1

// credentials are the authentication settings of a Config.
type credentials struct {
	sharedKey, username, password string

	hostname string
}

// used reports whether the client authenticates itself.
func (c *credentials) used() bool { return c.sharedKey != "" || c.username != "" }

// credentials returns the authentication settings of cfg with their defaults.
func (cfg Config) credentials() (credentials, error) {
	c := credentials{sharedKey: cfg.SharedKey, username: cfg.Username, password: cfg.Password, hostname: cfg.Hostname}
	var errs []error
	if (c.username == "") != (c.password == "") {
		set := map[bool]string{true: "is", false: "is not"}
		errs = append(errs, wrong("Username and Password", fmt.Sprintf("(%s set and %s set)", set[c.username != ""], set[c.password != ""]), "both or none"))
	}
	if len(c.hostname) > maxHostname {
		errs = append(errs, wrong("Hostname", fmt.Sprintf("of %d bytes", len(c.hostname)), fmt.Sprintf("at most %d", maxHostname)))
	}
	if c.hostname == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		// A server refuses a client with its own name, which usually is the name of its host.
		c.hostname = "gmpulse-" + host[:min(len(host), maxHostname-len("gmpulse-"))]
	}
	return c, errors.Join(errs...)
}

// helo is the greeting of a server.
type helo struct {
	nonce, salt []byte // salt: empty if the server authenticates no users
	keepalive   bool   // false: the server closes the connection after a record
}

// pong is the answer to the PING.
type pong struct {
	accepted bool
	reason   string // why not
	hostname string // of the server
	digest   string // which proves that the server has the shared key
}

// salted returns the SHA-512 digest of parts as text.
func salted(parts ...string) string {
	h := sha512.New()
	for _, p := range parts {
		_, _ = h.Write([]byte(p)) // never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

// newSalt returns the salt of a PING. It is text, because Fluent Bit accepts no bytes.
func newSalt() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// ping returns the answer to h.
func (c *credentials) ping(h *helo, salt string) []byte {
	b := msgp.AppendArrayHeader(nil, 6)
	b = msgp.AppendString(b, "PING")
	b = msgp.AppendString(b, c.hostname)
	b = msgp.AppendString(b, salt)
	b = msgp.AppendString(b, salted(salt, c.hostname, string(h.nonce), c.sharedKey))
	if c.username == "" || len(h.salt) == 0 {
		return msgp.AppendString(msgp.AppendString(b, ""), "")
	}
	b = msgp.AppendString(b, c.username)
	return msgp.AppendString(b, salted(string(h.salt), c.username, c.password))
}

// verify reports why p does not answer the PING that had this salt.
func (c *credentials) verify(p *pong, h *helo, salt string) error {
	switch {
	case !p.accepted && len(h.salt) > 0 && c.username == "":
		return fmt.Errorf("the server refuses the client, which has no Username: %.200q", p.reason)
	case !p.accepted:
		return fmt.Errorf("the server refuses the client's SharedKey, Username or Hostname: %.200q", p.reason)
	case p.hostname == c.hostname:
		return fmt.Errorf("the server has the client's name %q: set another Hostname", c.hostname)
	}
	want := salted(salt, p.hostname, string(h.nonce), c.sharedKey)
	if subtle.ConstantTimeCompare([]byte(p.digest), []byte(want)) != 1 {
		return errors.New("the server does not prove that it has the SharedKey")
	}
	return nil
}

// parseHelo decodes ["HELO", {"nonce": ..., "auth": ..., "keepalive": ...}].
func parseHelo(b []byte) (h helo, err error) {
	b, err = head(b, "HELO", 2)
	if err != nil {
		return h, err
	}
	n, b, err := msgp.ReadMapHeaderBytes(b)
	h.keepalive = true // the default of servers that do not say
	for range n {
		var key []byte
		if err == nil {
			key, b, err = msgp.ReadStringZC(b)
		}
		if err != nil {
			break
		}
		switch string(key) {
		case "nonce":
			h.nonce, b, err = text(b)
		case "auth":
			h.salt, b, err = text(b)
		case "keepalive":
			h.keepalive, b, err = msgp.ReadBoolBytes(b)
		default:
			b, err = msgp.Skip(b)
		}
	}
	if err == nil && len(h.nonce) == 0 {
		err = errors.New("no nonce")
	}
	if err != nil {
		return h, fmt.Errorf("malformed HELO: %w", err)
	}
	return h, nil
}

// parsePong decodes ["PONG", accepted, reason, hostname, digest].
func parsePong(b []byte) (p pong, err error) {
	b, err = head(b, "PONG", 5)
	if err != nil {
		return p, err
	}
	p.accepted, b, err = msgp.ReadBoolBytes(b)
	for _, s := range []*string{&p.reason, &p.hostname, &p.digest} {
		if err != nil {
			break
		}
		var v []byte
		v, b, err = text(b)
		*s = string(v)
	}
	if err != nil {
		return p, fmt.Errorf("malformed PONG: %w", err)
	}
	return p, nil
}

// parseAck decodes {"ack": chunk}.
func parseAck(b []byte) (chunk string, err error) {
	n, rest, err := msgp.ReadMapHeaderBytes(b)
	for range n {
		var key, value []byte
		if err == nil {
			key, rest, err = msgp.ReadStringZC(rest)
		}
		switch {
		case err != nil:
		case string(key) == "ack":
			value, rest, err = text(rest)
			chunk = string(value)
		default:
			rest, err = msgp.Skip(rest)
		}
		if err != nil {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("malformed acknowledgement: %w", err)
	}
	return chunk, nil
}

// head decodes the begin of a message, which is an array of n whose first element is its
// name, and returns the rest.
func head(b []byte, name string, n uint32) (rest []byte, err error) {
	size, rest, err := msgp.ReadArrayHeaderBytes(b)
	if err == nil && size == n {
		var got []byte
		got, rest, err = text(rest)
		if err == nil && string(got) == name {
			return rest, nil
		}
	}
	return nil, errors.New("not a " + name + " but " + strconv.Quote(string(b[:min(len(b), 16)])))
}

// text decodes a string or bytes, which servers use both, or nil.
func text(b []byte) (v, rest []byte, err error) {
	switch msgp.NextType(b) {
	case msgp.BinType:
		return msgp.ReadBytesZC(b)
	case msgp.NilType:
		rest, err = msgp.ReadNilBytes(b)
		return nil, rest, err
	default:
		return msgp.ReadStringZC(b)
	}
}
