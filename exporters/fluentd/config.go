// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fluent/fluent-logger-golang/fluent"

	"github.com/gmpulse/gmpulse/internal/redact"
)

// Config says where to send and how long to wait.
type Config struct {
	// URL of the server: tcp://host:port, tls://host:port or unix:///path. The
	// port is 24224 where it is left out. An IPv6 address stands in brackets:
	// tcp://[::1]:24224. Must be set.
	URL string
	// Tag is the first part of each tag: letters, digits, _ and -, in parts with
	// dots between. Default "gmpulse".
	Tag string
	// Service is the second part of each tag. What is not a letter, a digit, _
	// or - becomes _, letters become lower case, and it is cut at 128 bytes.
	// Default "unknown_service".
	Service string
	// Timeout bounds a dial, TLS handshake included. Default 2 s.
	Timeout time.Duration
	// WriteTimeout bounds the writing of one record. Default 2 s.
	WriteTimeout time.Duration
	// AckTimeout bounds the wait for the acknowledgement of one record. Default 5 s.
	AckTimeout time.Duration
	// InsecureSkipVerify accepts any certificate of a tls:// server. The traffic
	// is then secret to bystanders, but not to whoever poses as the server.
	InsecureSkipVerify bool
}

// The defaults of Config.
const (
	defaultPort         = 24224
	defaultTag          = "gmpulse"
	defaultService      = "unknown_service"
	defaultTimeout      = 2 * time.Second
	defaultWriteTimeout = 2 * time.Second
	defaultAckTimeout   = 5 * time.Second

	maxService = 128
	urlForms   = "tcp://host:port, tls://host:port or unix:///path"
)

// target is a Config that was checked and completed.
type target struct {
	network      string // tcp, tls or unix
	host         string // IPv6 addresses without brackets
	port         int
	path         string
	address      string // the URL again, for people
	tag, service string

	timeout, writeTimeout, ackTimeout time.Duration
	insecure                          bool
}

func (cfg Config) resolve() (target, error) {
	t, errURL := parseURL(cfg.URL)
	var errTag, errDial, errWrite, errAck error
	t.tag, errTag = tagOf(cfg.Tag)
	t.service = serviceOf(cfg.Service)
	t.timeout, errDial = positive("Timeout", cfg.Timeout, defaultTimeout)
	t.writeTimeout, errWrite = positive("WriteTimeout", cfg.WriteTimeout, defaultWriteTimeout)
	t.ackTimeout, errAck = positive("AckTimeout", cfg.AckTimeout, defaultAckTimeout)
	t.insecure = cfg.InsecureSkipVerify
	return t, errors.Join(errURL, errTag, errDial, errWrite, errAck)
}

func parseURL(raw string) (target, error) {
	junk := func(why string) (target, error) {
		return target{}, wrong("URL", strconv.Quote(redact.URL(raw))+": "+why, urlForms)
	}
	if raw == "" {
		return junk("empty")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return junk("not a URL") // the parser's error repeats the URL, password included
	case u.Scheme != "tcp" && u.Scheme != "tls" && u.Scheme != "unix":
		return junk("unknown scheme")
	case u.User != nil:
		return junk("the client library has no users and passwords")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "":
		return junk("more than an address")
	}
	if u.Scheme == "unix" {
		if u.Host != "" || len(u.Path) < 2 {
			return junk("no absolute path")
		}
		return target{network: "unix", path: u.Path, address: "unix://" + u.Path}, nil
	}
	if u.Path != "" && u.Path != "/" {
		return junk("more than an address")
	}
	t := target{network: u.Scheme, host: u.Hostname(), port: defaultPort}
	if t.host == "" {
		return junk("no host")
	}
	if p := u.Port(); p != "" {
		if t.port, err = strconv.Atoi(p); err != nil || t.port < 1 || t.port > 65535 {
			return junk("no port between 1 and 65535")
		}
	}
	t.address = t.network + "://" + t.hostPort()
	return t, nil
}

func tagOf(tag string) (string, error) {
	if tag == "" {
		return defaultTag, nil
	}
	for part := range strings.SplitSeq(tag, ".") {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool { return !tagRune(r) && (r < 'A' || r > 'Z') }) {
			return "", wrong("Tag", strconv.Quote(tag), "letters, digits, _ and -, in parts with dots between")
		}
	}
	return tag, nil
}

func serviceOf(name string) string {
	if name == "" {
		return defaultService
	}
	name = strings.Map(func(r rune) rune {
		if tagRune(r) {
			return r
		}
		return '_'
	}, strings.ToLower(name))
	return name[:min(len(name), maxService)]
}

func tagRune(r rune) bool {
	return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}

func positive(field string, d, fallback time.Duration) (time.Duration, error) {
	if d < 0 {
		return 0, wrong(field, d.String(), fmt.Sprintf("a positive duration, or 0 for %v", fallback))
	}
	if d == 0 {
		return fallback, nil
	}
	return d, nil
}

func wrong(field, value, want string) error { return fmt.Errorf("%s %s: want %s", field, value, want) }

// hostPort is what a dialer wants: brackets around IPv6 addresses.
func (t *target) hostPort() string { return net.JoinHostPort(t.host, strconv.Itoa(t.port)) }

// client is the configuration of the client library.
func (t *target) client() fluent.Config {
	host := t.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // the library only puts ":port" behind it
	}
	return fluent.Config{
		FluentNetwork:         t.network,
		FluentHost:            host,
		FluentPort:            t.port,
		FluentSocketPath:      t.path,
		Timeout:               t.timeout,
		WriteTimeout:          t.writeTimeout,
		ReadTimeout:           t.ackTimeout,
		MaxRetry:              1, // more would block Export for minutes; the agent and the spool try again
		RequestAck:            true,
		SubSecondPrecision:    true,
		TlsInsecureSkipVerify: t.insecure,
	}
}
