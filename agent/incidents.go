// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"

	"github.com/gmpulse/gmpulse/exporters"
)

// logsIncidents reports whether the agent logs incidents. By default it does unless an exporter of
// the application does.
func (s *settings) logsIncidents() bool {
	if s.logEvents != nil {
		return *s.logEvents
	}
	return !slices.ContainsFunc(s.exporters, func(x namedExporter) bool { return exporters.LogsIncidents(x.exporter) })
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
