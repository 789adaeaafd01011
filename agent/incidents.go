// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/alertmanager"
	"github.com/gmpulse/gmpulse/internal/redact"
)

// speakers makes the exporters that tell people of incidents.
func (a *Agent) speakers(s *settings) (opts []engine.Option, _ error) {
	var errs []error
	page := a.pageURL(s.pageURL)
	if s.logsIncidents() {
		opts = append(opts, engine.WithExporter("incident_log", exporters.LogIncidents(s.logger, page), engine.EveryTick()))
	}
	if c := s.alertmanager; len(c.URLs) > 0 {
		if c.PageURL == nil {
			c.PageURL = page
		}
		x, err := alertmanager.New(c)
		if err != nil {
			errs = append(errs, fmt.Errorf("agent: WithAlertmanager: %w", err))
		} else {
			opts = append(opts, engine.WithExporter("alertmanager", x, engine.EveryTick()))
		}
	}
	if s.webhook.URL != "" {
		o, err := newWebhook(s, page)
		opts, errs = append(opts, o), append(errs, err)
	}
	return opts, errors.Join(errs...)
}

// told describes where incidents are sent. The address of a webhook is a secret, except for its host.
func (s *settings) told() (attrs []slog.Attr) {
	if urls := s.alertmanager.URLs; len(urls) > 0 {
		shown := make([]string, len(urls))
		for i, u := range urls {
			shown[i] = redact.URL(u)
		}
		attrs = append(attrs, slog.String("alertmanager", strings.Join(shown, ",")))
	}
	if u, err := url.Parse(s.webhook.URL); err == nil && u.Host != "" {
		attrs = append(attrs, slog.String("webhook", u.Host), slog.String("webhook_spool", spoolPlace(s)))
	}
	return attrs
}

// logsIncidents reports whether the agent logs incidents. By default it does unless an exporter of
// the application does.
func (s *settings) logsIncidents() bool {
	if s.logEvents != nil {
		return *s.logEvents
	}
	return !s.logged
}

// pageURL returns a function that returns the address of the live page: the configured one, or that
// of the agent's server, which listens when exporters call the function.
func (a *Agent) pageURL(configured string) func() string {
	return func() string {
		switch {
		case configured != "":
			return configured
		case a.server != nil:
			return a.server.url(pagePath)
		default:
			return ""
		}
	}
}
