// SPDX-License-Identifier: Apache-2.0

package alertmanager

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/gmpulse/gmpulse/internal/redact"
)

// defaultResend is the default of [Config.Resend].
const defaultResend = time.Minute

// Config configures an [Exporter]. URLs must be set.
type Config struct {
	// URLs are the addresses of the Alertmanagers, such as http://alertmanager:9093, without the path
	// of the API. Every Alertmanager of a cluster must be listed: each receives all alerts. User and
	// password in an address are for basic authentication.
	URLs []string
	// Resend is the time after which open incidents are sent again, from one second to one hour. An
	// alert that is not sent again is resolved after four times as long. Default (0): one minute.
	Resend time.Duration
	// PageURL returns the address of the live page for the links in alerts. It may be nil, and return
	// "".
	PageURL func() string
	// Labels are more labels for all alerts, such as the team that receives them. A label with the
	// same name as one of the exporter replaces it. An empty value removes the label.
	Labels map[string]string
	// TLS configures https. Default (nil): the certificates of the system.
	TLS *tls.Config
}

// check returns an error that names every invalid field, or nil.
func (c *Config) check() error {
	var errs []error
	if len(c.URLs) == 0 {
		errs = append(errs, errors.New("alertmanager: Config.URLs is empty; set it to the addresses of the Alertmanagers, for example http://alertmanager:9093"))
	}
	for _, u := range c.URLs {
		if endpoint(u) == "" {
			errs = append(errs, fmt.Errorf("alertmanager: Config.URLs: %q is not an address; want http://host:port or https://host:port", redact.URL(u)))
		}
	}
	if c.Resend != 0 && (c.Resend < time.Second || c.Resend > time.Hour) {
		errs = append(errs, fmt.Errorf("alertmanager: Config.Resend is %v; want 1s to 1h, or 0 for %v", c.Resend, defaultResend))
	}
	for name := range c.Labels {
		if !validLabel(name) {
			errs = append(errs, fmt.Errorf("alertmanager: Config.Labels: %q is not a name of a label; want letters, digits and underscores", name))
		}
	}
	return errors.Join(errs...)
}

func validLabel(name string) bool {
	for i, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// endpoint returns the address of the API of an Alertmanager, or "" if base is not an address of a server.
func endpoint(base string) string {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	return u.JoinPath("api/v2/alerts").String()
}
