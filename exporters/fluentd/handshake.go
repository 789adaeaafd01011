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

	"github.com/tinylib/msgp/msgp"
)

// The handshake of the Forward protocol, version 1. The server sends HELO with a nonce, the
// client answers with PING, and the server with PONG. Each of the two proves that it has the
// shared key, and the client that it has the password of a user, with a SHA-512 digest.
// https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1

const maxHostname = 255 // Fluent Bit reads at most 1023 bytes of the message with the name

// defaultHostname returns the name of this client. A server refuses a client with its own
// name, which usually is the name of its host.
func defaultHostname() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return "gmpulse-" + host[:min(len(host), maxHostname-len("gmpulse-"))]
}

func (t *target) checkCredentials() error {
	var errs []error
	if (t.Username == "") != (t.Password == "") {
		set := map[bool]string{true: "is set", false: "is not set"}
		errs = append(errs, wrong("Username and Password", fmt.Sprintf("(%s and %s)", set[t.Username != ""], set[t.Password != ""]), "both or none"))
	}
	if len(t.Hostname) > maxHostname {
		errs = append(errs, wrong("Hostname", fmt.Sprintf("of %d bytes", len(t.Hostname)), fmt.Sprintf("at most %d", maxHostname)))
	}
	return errors.Join(errs...)
}

// authenticates reports whether the client authenticates itself.
func (t *target) authenticates() bool { return t.SharedKey != "" || t.Username != "" }

// helo is the greeting of a server.
type helo struct {
	nonce, salt string // salt: empty if the server authenticates no users
	keepalive   bool   // false: the server closes the connection after a record
}

// parseHelo converts ["HELO", {"nonce": ..., "auth": ..., "keepalive": ...}].
func parseHelo(v any) (helo, error) {
	message, ok := v.([]any)
	if !ok || len(message) != 2 || text(message[0]) != "HELO" {
		return helo{}, fmt.Errorf("not a HELO but %.200q", fmt.Sprint(v))
	}
	options, _ := message[1].(map[string]any)
	h := helo{nonce: text(options["nonce"]), salt: text(options["auth"]), keepalive: options["keepalive"] != false}
	if h.nonce == "" {
		return helo{}, errors.New("malformed HELO: no nonce")
	}
	return h, nil
}

// pong is the answer to the PING.
type pong struct {
	accepted bool
	reason   string // why not
	hostname string // of the server
	digest   string // which proves that the server has the shared key
}

// parsePong converts ["PONG", accepted, reason, hostname, digest].
func parsePong(v any) (pong, error) {
	message, ok := v.([]any)
	if !ok || len(message) != 5 || text(message[0]) != "PONG" {
		return pong{}, fmt.Errorf("not a PONG but %.200q", fmt.Sprint(v))
	}
	accepted, ok := message[1].(bool)
	if !ok {
		return pong{}, errors.New("malformed PONG")
	}
	return pong{accepted: accepted, reason: text(message[2]), hostname: text(message[3]), digest: text(message[4])}, nil
}

// text returns a string or bytes, which servers use both, or "".
func text(v any) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	s, _ := v.(string)
	return s
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
func (t *target) ping(h helo, salt string) []byte {
	user, password := "", ""
	if h.salt != "" && t.Username != "" {
		user, password = t.Username, salted(h.salt, t.Username, t.Password)
	}
	b := msgp.AppendArrayHeader(nil, 6)
	for _, s := range []string{"PING", t.Hostname, salt, salted(salt, t.Hostname, h.nonce, t.SharedKey), user, password} {
		b = msgp.AppendString(b, s)
	}
	return b
}

// verify reports why p does not answer the PING that had this salt.
func (t *target) verify(p pong, h helo, salt string) error {
	switch {
	case !p.accepted && h.salt != "" && t.Username == "":
		return fmt.Errorf("the server refuses the client, which has no Username: %.200q", p.reason)
	case !p.accepted:
		return fmt.Errorf("the server refuses the client's SharedKey, Username or Hostname: %.200q", p.reason)
	case p.hostname == t.Hostname:
		return fmt.Errorf("the server has the client's name %q: set another Hostname", t.Hostname)
	}
	want := salted(salt, p.hostname, h.nonce, t.SharedKey)
	if subtle.ConstantTimeCompare([]byte(p.digest), []byte(want)) != 1 {
		return errors.New("the server does not prove that it has the SharedKey")
	}
	return nil
}
