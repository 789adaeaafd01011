// SPDX-License-Identifier: Apache-2.0

package otlpprofiles

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/redact"
	"github.com/gmpulse/gmpulse/internal/tlsfile"
)

// variable returns the name and the value of the variable for a setting. The variable for profiles has
// priority over the variable for all signals. The value is "" if neither is set.
func variable(setting string) (name, value string) {
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_PROFILES_", "OTEL_EXPORTER_OTLP_"} {
		name = prefix + setting
		if value = strings.TrimSpace(os.Getenv(name)); value != "" {
			return name, value
		}
	}
	return name, ""
}

// withEnvironment returns c with the fields that the environment sets and c does not.
func (c Config) withEnvironment() (Config, error) {
	var errs []error
	for _, read := range []func(*Config) error{readProtocol, readEndpoint, readHeaders, readTimeout, readCompression, readTLS} {
		if err := read(&c); err != nil {
			errs = append(errs, fmt.Errorf("otlpprofiles: %w", err))
		}
	}
	return c, errors.Join(errs...)
}

func readProtocol(*Config) error {
	if name, v := variable("PROTOCOL"); v != "" && v != "http/protobuf" {
		return fmt.Errorf("%s=%q: only http/protobuf is supported", name, v)
	}
	return nil
}

func readEndpoint(c *Config) error {
	name, v := variable("ENDPOINT")
	if v == "" || c.Endpoint != "" {
		return nil
	}
	if !isAddress(v) {
		return fmt.Errorf("%s=%q: want an http or https address, such as %s", name, redact.URL(v), defaultEndpoint)
	}
	if c.Endpoint = v; name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
		u, _ := url.Parse(v) // isAddress has parsed it
		c.Endpoint = u.JoinPath(path).String()
	}
	return nil
}

// readHeaders reads headers of the form name=value,name=value, with percent-encoded values. It names no
// value in errors, because most of them are secrets.
func readHeaders(c *Config) error {
	all := map[string]string{}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_PROFILES_HEADERS"} {
		for pair := range strings.SplitSeq(os.Getenv(name), ",") {
			if strings.TrimSpace(pair) == "" {
				continue
			}
			key, value, ok := strings.Cut(pair, "=")
			key = strings.TrimSpace(key)
			value, err := url.PathUnescape(strings.TrimSpace(value))
			if !ok || err != nil || checkHeader(key, value) != nil {
				return fmt.Errorf("%s: want name=value,name=value with percent-encoded values", name)
			}
			all[key] = value
		}
	}
	maps.Copy(all, c.Headers)
	c.Headers = all
	return nil
}

func readTimeout(c *Config) error {
	name, v := variable("TIMEOUT")
	if v == "" || c.Timeout != 0 {
		return nil
	}
	ms, err := strconv.ParseUint(v, 10, 31)
	if err != nil || ms == 0 {
		return fmt.Errorf("%s=%q: want milliseconds, such as 10000", name, v)
	}
	c.Timeout = time.Duration(ms) * time.Millisecond //nolint:gosec // 31 bits
	return nil
}

func readCompression(c *Config) error {
	switch name, v := variable("COMPRESSION"); v {
	case "", "gzip":
	case "none":
		c.Uncompressed = true
	default:
		return fmt.Errorf("%s=%q: want gzip or none", name, v)
	}
	return nil
}

func readTLS(c *Config) error {
	if c.TLS != nil {
		return nil
	}
	authority, ca := variable("CERTIFICATE")
	certificate, cert := variable("CLIENT_CERTIFICATE")
	private, key := variable("CLIENT_KEY")
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		var err error
		if config.RootCAs, err = tlsfile.Pool(ca); err != nil {
			return fmt.Errorf("%s: %w", authority, err)
		}
	}
	switch {
	case (cert == "") != (key == ""):
		return fmt.Errorf("%s=%q and %s=%q: set both or none", certificate, cert, private, key)
	case cert != "":
		pair, err := tlsfile.Pair(cert, key)
		if err != nil {
			return fmt.Errorf("%s and %s: %w", certificate, private, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	c.TLS = config
	return nil
}
