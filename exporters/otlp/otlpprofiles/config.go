// SPDX-License-Identifier: Apache-2.0

package otlpprofiles

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/redact"
)

const (
	// path is the path of profiles below the endpoint of all signals.
	path            = "/v1development/profiles"
	defaultEndpoint = "http://localhost:4318"
	defaultTimeout  = 10 * time.Second
	defaultMaxBytes = 8 << 20
)

// Config configures an [Exporter]. The zero value takes everything from the environment.
type Config struct {
	// Endpoint is the address that profiles are posted to, with its path, for example
	// http://localhost:4318/v1development/profiles. Default (""): OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT as it
	// is, else OTEL_EXPORTER_OTLP_ENDPOINT with /v1development/profiles, else
	// http://localhost:4318/v1development/profiles. Errors and log lines do not contain the path.
	Endpoint string
	// Headers are sent with each request. They override headers of OTEL_EXPORTER_OTLP_HEADERS and
	// OTEL_EXPORTER_OTLP_PROFILES_HEADERS with the same name. Default (nil): none.
	Headers map[string]string
	// TLS configures https. Default (nil): OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY,
	// which may have PROFILES_ before these words; else the certificates of the system.
	TLS *tls.Config
	// Timeout limits each request. Default (0): OTEL_EXPORTER_OTLP_PROFILES_TIMEOUT or
	// OTEL_EXPORTER_OTLP_TIMEOUT, in milliseconds; else 10 s.
	Timeout time.Duration
	// Uncompressed sends requests without gzip. Default (false): gzip, unless
	// OTEL_EXPORTER_OTLP_PROFILES_COMPRESSION or OTEL_EXPORTER_OTLP_COMPRESSION is none.
	Uncompressed bool
	// NoLinks sends samples without links to example spans. Set it for a backend that shows linked samples
	// as the cost of that one span. Default: false.
	NoLinks bool
	// MaxBytes limits the size of the profiles that wait in memory. The oldest is dropped when another does
	// not fit. Default (0): 8 MiB, which is some hundred profiles. A profile that is larger is dropped.
	MaxBytes int64
	// Logger is told when sending begins to fail and when it works again. Default (nil): [slog.Default].
	Logger *slog.Logger
}

// complete returns c with the environment and the defaults, or an error that names every invalid field and
// variable.
func (c Config) complete() (Config, error) {
	var errs []error
	wrong := func(field string, value any, want string) {
		errs = append(errs, fmt.Errorf("otlpprofiles: Config.%s is %v; want %s", field, value, want))
	}
	if c.Endpoint != "" && !isAddress(c.Endpoint) {
		wrong("Endpoint", redact.URL(c.Endpoint), "an http or https address, such as "+defaultEndpoint+path)
	}
	if c.Timeout < 0 {
		wrong("Timeout", c.Timeout, "a positive duration, or 0 for the default")
	}
	if c.MaxBytes < 0 {
		wrong("MaxBytes", c.MaxBytes, "a positive number, or 0 for 8 MiB")
	}
	for name, value := range c.Headers {
		if err := checkHeader(name, value); err != nil {
			wrong("Headers", fmt.Sprintf("a map with %q", name), err.Error())
		}
	}
	c, err := c.withEnvironment()
	if err := errors.Join(errors.Join(errs...), err); err != nil {
		return c, err
	}
	c.Endpoint = cmp.Or(c.Endpoint, defaultEndpoint+path)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.MaxBytes = cmp.Or(c.MaxBytes, defaultMaxBytes)
	c.Logger = guard.Logger(cmp.Or(c.Logger, slog.Default()))
	return c, nil
}

func isAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

// checkHeader returns what is wanted in place of a header that HTTP does not allow.
func checkHeader(name, value string) error {
	var sent strings.Builder
	h := http.Header{name: {value}}
	if err := h.Write(&sent); err != nil || sent.String() != name+": "+value+"\r\n" {
		return errors.New("names and values that HTTP allows")
	}
	return nil
}
