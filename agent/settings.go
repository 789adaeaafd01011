// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/alertmanager"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/exporters/webhook"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// settings is the configuration of Start: the defaults, changed by the environment, then
// by the options.
type settings struct {
	disabledBy   string // the variable or option that disables the agent; "" if none does
	wrong        error  // malformed variables that are errors of Start
	listen       string // "" is off
	listenFixed  bool   // the address was configured: do not try other ports
	interval     time.Duration
	hostInterval time.Duration
	metrics      exporters.Selection
	prometheus   prom.Config
	fluentd      fluentd.Config // URL "" is off
	fluentdPace  []engine.ExporterOption
	spool        spool.Config // of the Fluentd exporter, and with a Dir of the webhook
	noLabels     bool
	noEnrichment bool
	noBaselines  bool
	baselines    baseline.Config
	access       Access
	page         page.Config
	evidence     *evidence.Config // nil is off
	profiler     *profiler.Config // nil is off
	noRecorder   bool
	recorder     *exectrace.Recorder // nil is the default one
	resource     *resource.Resource  // overrides what the agent detects; may be nil
	logger       *slog.Logger
	logEvents    *bool               // nil: on, unless an exporter logs incidents
	logged       bool                // an exporter of the application logs incidents
	alertmanager alertmanager.Config // without URLs it is off
	webhook      webhook.Config      // URL "" is off
	pageURL      string              // "": the address of the agent's server
	exporters    []engine.Option
	warnings     []warning
}

// warning is a log line about a setting that has no effect.
type warning struct {
	message string
	attrs   []slog.Attr
}

func (s *settings) warn(message string, attrs ...slog.Attr) {
	s.warnings = append(s.warnings, warning{message, attrs})
}

// spoolIsUnused reports whether the spool is configured, but not used without Fluentd: a webhook has
// one with a directory only.
func (s *settings) spoolIsUnused() bool {
	if s.spool.Dir == "" {
		return s.spool.MaxBytes != 0 || s.spool.MaxAge != 0
	}
	return s.webhook.URL == ""
}

// warnUnused adds a warning for each setting that has no effect because another setting is
// missing.
func (s *settings) warnUnused() {
	if s.fluentd.URL == "" && s.spoolIsUnused() {
		s.warn("gmpulse: the spool is not used: GMPULSE_SPOOL_* and WithSpool configure the exporters to Fluentd and, with a directory, to a webhook, and neither GMPULSE_FLUENTD nor GMPULSE_WEBHOOK needs it", slog.String("dir", s.spool.Dir))
	}
	if s.fluentd.URL == "" && len(s.fluentdPace) > 0 {
		s.warn("gmpulse: the interval of Fluentd is not used: GMPULSE_FLUENTD is not set")
	}
	if s.fluentd.URL == "" && s.fluentd.Tag != "" && s.fluentd.Tag != defaultTag {
		s.warn("gmpulse: the Fluentd tag is not used: GMPULSE_FLUENTD is not set", slog.String("tag", s.fluentd.Tag))
	}
	if s.webhook.URL == "" && s.webhook.Secret != "" {
		s.warn("gmpulse: the secret of the webhook is not used: GMPULSE_WEBHOOK is not set")
	}
	if c := s.fluentd; c.URL == "" && c.CAFile+c.CertFile+c.KeyFile+c.SharedKey+c.Username+c.Password != "" {
		s.warn("gmpulse: the certificates and credentials for Fluentd are not used: GMPULSE_FLUENTD is not set")
	}
	if s.noBaselines && (s.baselines.StateFile != "" || s.baselines.AlertsPerWeek != 0) {
		s.warn("gmpulse: baselines are off: GMPULSE_STATE_FILE and GMPULSE_ALERTS_PER_WEEK have no effect")
	}
}
