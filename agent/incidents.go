// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"net/url"
	"strings"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/alertmanager"
	"github.com/gmpulse/gmpulse/internal/redact"
)

// addIncidentExporters adds the exporters that send incidents to people.
func (a *Agent) addIncidentExporters(all *parts, s *settings) {
	page := a.pageURL(s.pageURL)
	if s.logsIncidents() {
		all.add(nil, engine.WithExporter("incident_log", exporters.LogIncidents(s.logger, page), engine.EveryTick()))
	}
	if c := s.alertmanager; len(c.URLs) > 0 {
		if c.PageURL == nil {
			c.PageURL = page
		}
		x, err := alertmanager.New(c)
		all.add(about("WithAlertmanager", err), engine.WithExporter("alertmanager", x, engine.EveryTick()))
	}
	if s.webhook.URL != "" {
		o, err := newWebhook(s, page)
		all.add(err, o)
	}
}

// receivers describes where incidents are sent. The address of a webhook is a secret, except for its host.
func (s *settings) receivers() (attrs []slog.Attr) {
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
