// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/redact"
)

// Config configures an [Exporter]. URL must be set.
type Config struct {
	// URL is the address of the server: tcp://host:port, tls://host:port or
	// unix:///path. The default port is 24224. An IPv6 address needs brackets:
	// tcp://[::1]:24224. Required.
	URL string
	// Tag is the first part of each tag: letters, digits, _ and -, in parts separated
	// by dots. Default: "gmpulse".
	Tag string
	// Service is the second part of each tag. It is converted to lower case and cut at
	// 128 bytes, and characters other than letters, digits, _ and - become _.
	// Default: "unknown_service".
	Service string
	// Full sends every value of a snapshot ([exporters.FullRecord]), which takes about seven
	// times the space. Default (false): a summary ([exporters.Record]).
	Full bool
	// Timeout bounds a dial, including the TLS handshake and the authentication.
	// Default (0): 2 s.
	Timeout time.Duration
	// WriteTimeout bounds the write of one record. Default (0): 2 s.
	WriteTimeout time.Duration
	// AckTimeout bounds the wait for the acknowledgement of one record. Default (0): 5 s.
	AckTimeout time.Duration
	// InsecureSkipVerify accepts any certificate of a tls:// server, so that an attacker
	// can impersonate the server. Default: false.
	InsecureSkipVerify bool

	// The files below are read for each new connection, so that renewed certificates
	// are used from the next connection on. New reads them too and returns an error if
	// they are unusable.

	// CAFile is a file with certificates in PEM form. The certificate of a tls:// server
	// must be signed by one of them. Default (""): the roots of TLS, or of the system.
	CAFile string
	// CertFile and KeyFile are files with the client's certificate and its key in PEM
	// form, for a tls:// server that requires one. Default (""): none.
	CertFile, KeyFile string
	// TLS has further settings for a tls:// server, such as ServerName. New copies it.
	// CAFile, CertFile and InsecureSkipVerify override it. Default (nil): the defaults
	// of package crypto/tls.
	TLS *tls.Config

	// SharedKey is the shared_key of the server. The server must prove that it has the
	// key too. Default (""): the exporter sends nothing to a server that requires one.
	SharedKey string
	// Username and Password are for a server that authenticates users in addition to
	// the shared key. The password does not leave the process. Default (""): none.
	Username, Password string
	// Hostname is the name of this client in the authentication. It must differ from the
	// self_hostname of the server. Default (""): "gmpulse-" and the name of the host.
	Hostname string
}

// The defaults of [Config].
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

// target is a validated Config with its defaults, and the parts of its URL.
type target struct {
	Config
	scheme   string // tcp, tls or unix
	host     string // without brackets; "" for a Unix socket
	endpoint string // host and port, or the path of a Unix socket
	address  string // the URL without user, password and query, for error messages
}

func (cfg Config) resolve() (target, error) {
	t, err := parseURL(cfg.URL)
	errs := []error{err}
	t.Config, t.TLS = cfg, cfg.TLS.Clone()
	if t.Tag == "" {
		t.Tag = defaultTag
	}
	errs = append(errs, checkTag(t.Tag))
	t.Service = serviceOf(cfg.Service)
	for _, d := range []struct {
		field           string
		value           *time.Duration
		defaultDuration time.Duration
	}{
		{"Timeout", &t.Timeout, defaultTimeout},
		{"WriteTimeout", &t.WriteTimeout, defaultWriteTimeout},
		{"AckTimeout", &t.AckTimeout, defaultAckTimeout},
	} {
		if *d.value < 0 {
			errs = append(errs, wrong(d.field, d.value.String(), fmt.Sprintf("a positive duration, or 0 for %v", d.defaultDuration)))
		}
		if *d.value == 0 {
			*d.value = d.defaultDuration
		}
	}
	if t.Hostname == "" {
		t.Hostname = defaultHostname()
	}
	return t, errors.Join(append(errs, t.checkTLS(), t.checkCredentials())...)
}

func parseURL(raw string) (target, error) {
	invalid := func(why string) (target, error) {
		return target{}, wrong("URL", strconv.Quote(redact.URL(raw))+": "+why, urlForms)
	}
	if raw == "" {
		return invalid("empty")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return invalid("not a URL") // the parser's error has the URL with its password
	case u.Scheme != "tcp" && u.Scheme != "tls" && u.Scheme != "unix":
		return invalid("unknown scheme")
	case u.User != nil:
		return invalid("set Username and Password (GMPULSE_FLUENTD_USER, _PASSWORD) instead of a user in the URL")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "":
		return invalid("more than an address")
	}
	if u.Scheme == "unix" {
		if u.Host != "" || len(u.Path) < 2 {
			return invalid("no absolute path")
		}
		return target{scheme: u.Scheme, endpoint: u.Path, address: "unix://" + u.Path}, nil
	}
	if u.Path != "" && u.Path != "/" {
		return invalid("more than an address")
	}
	host, port := u.Hostname(), defaultPort
	if host == "" {
		return invalid("no host")
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return invalid("no port between 1 and 65535")
		}
	}
	endpoint := net.JoinHostPort(host, strconv.Itoa(port))
	return target{scheme: u.Scheme, host: host, endpoint: endpoint, address: u.Scheme + "://" + endpoint}, nil
}

func checkTag(tag string) error {
	for part := range strings.SplitSeq(tag, ".") {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool { return !tagRune(r) && (r < 'A' || r > 'Z') }) {
			return wrong("Tag", strconv.Quote(tag), "letters, digits, _ and -, in parts separated by dots")
		}
	}
	return nil
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

func wrong(field, value, want string) error { return fmt.Errorf("%s %s: want %s", field, value, want) }
