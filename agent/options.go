// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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

// Option configures [Start]. Options override the environment, and a later option overrides
// an earlier one. A nil Option is ignored. The package documentation describes how options
// switch parts of the agent off.
type Option func(*settings)

// WithListen sets the address of the agent's server, like GMPULSE_LISTEN: host:port, or
// "off". Port 0 means any free port. The default, and the meaning of "", is 127.0.0.1:9464,
// or the next free port if that one is in use; if the environment sets an address, "" keeps
// it. An address that other machines can reach needs [WithAccess].
func WithListen(address string) Option {
	return func(s *settings) {
		if address == "" {
			return
		}
		s.listen, s.listenFixed = address, true
		if isOff(address) {
			s.listen = ""
		}
	}
}

// WithInterval sets the time between two samples, like GMPULSE_INTERVAL: 10 ms to one hour.
// The default is one second. Zero keeps the value of the environment or the default.
func WithInterval(d time.Duration) Option {
	return func(s *settings) { s.interval = cmp.Or(d, s.interval) }
}

// WithHostInterval sets the time between two readings of process, container and host, like
// GMPULSE_HOST_INTERVAL: 100 ms to one hour. The default is ten seconds. Zero keeps the
// value of the environment or the default.
func WithHostInterval(d time.Duration) Option {
	return func(s *settings) { s.hostInterval = cmp.Or(d, s.hostInterval) }
}

// WithResource sets the resource of the application's OpenTelemetry SDK, which then describes
// the process in every snapshot too. Its attributes override those that the agent detects and
// the attributes in OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME. The agent detects the service, the
// host, the process and, in Kubernetes, the pod and the container. Several resources are
// merged; nil changes nothing. [Agent.Resource] returns the result.
//
// To set single attributes:
//
//	agent.WithResource(resource.NewSchemaless(attribute.String("team", "checkout")))
func WithResource(r *resource.Resource) Option {
	return func(s *settings) { s.resource = merge(s.resource, r) }
}

// WithMetrics chooses the metrics on /metrics, like GMPULSE_METRICS. [exporters.NewSelection]
// describes the entries: agent.WithMetrics("default", "-container", "gmpulse.exporter.*"). An
// entry that matches no metric is logged. The live page and evidence have every metric. The
// default, and the meaning of no entry, is the default set, which docs/metrics.md marks.
func WithMetrics(entries ...string) Option {
	return func(s *settings) {
		selected, err := exporters.NewSelection(entries...)
		if err != nil {
			s.wrong = errors.Join(s.wrong, fmt.Errorf("agent: WithMetrics: %w", err))
		}
		s.metrics = selected
	}
}

// WithPrometheus configures /metrics, for example to serve the application's own collectors
// there too. GoCollectors is like GMPULSE_GO_COLLECTORS. The agent sets Selection, see
// [WithMetrics], and Logger defaults to the agent's.
func WithPrometheus(c prom.Config) Option {
	return func(s *settings) { s.prometheus = c }
}

// WithFluentd sends samples and events to a server of Fluentd's Forward protocol, like
// GMPULSE_FLUENTD and the GMPULSE_FLUENTD_ variables, all of which it overrides. Tag defaults
// to "gmpulse" and Service to the name of the service. The zero Config, and any other without
// a URL, switches the exporter off. It is off by default.
//
// [engine.Every] sets how often a summary of the samples is sent, like GMPULSE_FLUENTD_INTERVAL.
// The default is ten seconds.
func WithFluentd(c fluentd.Config, opts ...engine.ExporterOption) Option {
	return func(s *settings) {
		s.fluentd = c
		s.fluentdPace = append(slices.Clip(s.fluentdPace), opts...)
	}
}

// WithSpool configures the queue of records that wait for Fluentd, like GMPULSE_SPOOL_DIR,
// GMPULSE_SPOOL_MAX_BYTES and GMPULSE_SPOOL_MAX_AGE. Without a Dir the queue is in memory.
// With a Dir, events that wait for the webhook have a queue of their own there, of at most 4 MiB.
// The agent sets Name and Logger. To put another exporter behind a queue, use [spool.New]
// and [WithQueue].
func WithSpool(c spool.Config) Option {
	return func(s *settings) { s.spool = c }
}

// WithAccess sets which clients the agent's server and [Agent.Handler] answer, like
// GMPULSE_TOKEN, GMPULSE_OPEN and GMPULSE_INSECURE. The zero Access admits only requests
// from this machine; that is the default.
func WithAccess(a Access) Option {
	return func(s *settings) { s.access = a }
}

// WithPage configures the live page. TraceURL is like GMPULSE_TRACE_URL. Goroutines
// defaults to [Agent.Goroutines], Resolution to the interval of the samples but at least a
// second, and Bundles and Capture to the store of [WithEvidence].
func WithPage(c page.Config) Option {
	return func(s *settings) { s.page = c }
}

// WithEnrichment switches the enrichment of spans on or off, like GMPULSE_ENRICH: the
// gmpulse.process.* attributes and, on long spans, the gmpulse.runtime.sample events. It is
// on by default.
func WithEnrichment(on bool) Option {
	return func(s *settings) { s.noEnrichment = !on }
}

// WithLabels switches profiler labels on or off, like GMPULSE_LABELS. Without them, leaks
// are not attributed to the root spans under which their goroutines were created. Labels
// are on by default.
func WithLabels(on bool) Option {
	return func(s *settings) { s.noLabels = !on }
}

// WithEnabled switches the whole agent on or off. It overrides GMPULSE_DISABLED and
// OTEL_SDK_DISABLED. If the agent is off, [Start] returns an agent that does nothing. It is
// on by default.
func WithEnabled(on bool) Option {
	return func(s *settings) {
		if s.disabledBy = ""; !on {
			s.disabledBy = "WithEnabled"
		}
	}
}

// WithExporter adds an exporter. The name identifies it in metrics and logs and must be
// unique; the agent uses the names "prometheus", "page", "fluentd", "evidence",
// "incident_log", "alertmanager" and "webhook" itself.
// The agent shuts the exporter down when it stops.
//
// The exporter receives a summary of the samples every ten seconds, and events at once.
// [engine.Every] sets another interval, and [engine.EveryTick] delivers every sample:
//
//	a, err := agent.Start(agent.WithExporter("otlp", x, engine.Every(time.Minute)))
//
// See [engine.WithExporter] for the details.
func WithExporter(name string, e exporters.Exporter, opts ...engine.ExporterOption) Option {
	return WithQueue(name, e, nil, opts...)
}

// WithQueue adds an exporter that has a queue, see [engine.WithQueue]. An exporter behind a
// spool is one:
//
//	x, err := spool.New(next, spool.Config{Name: "otlp", Dir: dir})
//	a, err := agent.Start(agent.WithQueue("otlp", x, x.ExporterStats, engine.Every(otlp.Interval())))
//
// It is called as often as an exporter of [WithExporter].
func WithQueue(name string, e exporters.Exporter, stats func() exporters.Stats, opts ...engine.ExporterOption) Option {
	return func(s *settings) {
		s.exporters = append(s.exporters, engine.WithQueue(name, e, stats, opts...))
		s.logged = s.logged || exporters.LogsIncidents(e)
	}
}

// WithBaselines configures the baselines: signals in addition to the default ones, ceilings,
// the target number of false alarms (GMPULSE_ALERTS_PER_WEEK) and the state file
// (GMPULSE_STATE_FILE). Logger defaults to the agent's. Baselines are on by default; nil
// switches them off, like GMPULSE_BASELINES=off.
func WithBaselines(c *baseline.Config) Option {
	return func(s *settings) {
		if s.noBaselines = c == nil; c != nil {
			s.baselines = *c
		}
	}
}

// WithEvidence stores a bundle of evidence for each incident, like GMPULSE_CAPTURE_DIR:
// profiles, samples and spans. Without a Dir, the last two bundles are kept in memory. If
// Trace, Goroutines, Profiler or Logger is nil, the agent sets it. Evidence is off by default; nil
// switches it off.
func WithEvidence(c *evidence.Config) Option {
	return func(s *settings) {
		if s.evidence = nil; c != nil {
			s.evidence = new(*c)
		}
	}
}

// WithProfiler takes a CPU profile in every period, like GMPULSE_CPU_PROFILE, publishes the CPU time
// by root span, and keeps profiles of CPU, heap and goroutines for the live page and for evidence,
// see [profiler.Config]. The zero Config profiles one second in every 30. RootLabel, EpochLabel,
// Origin and Logger default to the agent's, and Dir to the directory of [WithEvidence]. It is off
// by default; nil switches it off. With [WithEvidence] alone, only heap and goroutine profiles are
// taken.
func WithProfiler(c *profiler.Config) Option {
	return func(s *settings) {
		if s.profiler = nil; c != nil {
			s.profiler = new(*c)
		}
	}
}

// WithRecorder replaces the recorder of execution traces, for example by one that also
// analyzes slow spans:
//
//	r, err := exectrace.New(exectrace.Config{Mode: exectrace.DutyCycle})
//	a, err := agent.Start(agent.WithRecorder(r))
//
// While a group of goroutines is suspicious, the agent records traces of five seconds to see
// whether its members run. It adds a trace to each bundle of evidence and publishes the slow
// spans that the recorder has analyzed. The agent runs the recorder ([exectrace.Recorder.Run])
// until Stop.
//
// The default recorder records only while a group is suspicious. Nil switches recording off,
// like GMPULSE_RECORDER=off. The agent then reports a group as leaked only if the garbage
// collector proves it.
func WithRecorder(r *exectrace.Recorder) Option {
	return func(s *settings) { s.recorder, s.noRecorder = r, r == nil }
}

// WithLogEvents switches the log lines about incidents on or off, like GMPULSE_LOG_EVENTS: one
// line when a leak, stuck requests or an anomaly is opened, worsened or closed, see
// [exporters.LogIncidents]. They are on by default, unless [WithExporter] adds an exporter of
// [exporters.Log] or [exporters.LogIncidents], which logs them itself.
func WithLogEvents(on bool) Option {
	return func(s *settings) { s.logEvents = &on }
}

// WithAlertmanager sends incidents as alerts to Prometheus Alertmanager, like GMPULSE_ALERTMANAGER.
// PageURL defaults to the address of [WithPageURL]. The zero Config, and any other without URLs,
// switches the exporter off. It is off by default.
func WithAlertmanager(c alertmanager.Config) Option {
	return func(s *settings) { s.alertmanager = c }
}

// WithWebhook sends incidents as messages to a webhook, a chat service for example, like
// GMPULSE_WEBHOOK and GMPULSE_WEBHOOK_SECRET. Events that the service does not accept wait in
// memory, or in the directory of [WithSpool], where they survive a restart. PageURL defaults
// to the address of [WithPageURL]. The zero Config, and any other without a URL, switches the
// exporter off. It is off by default.
func WithWebhook(c webhook.Config) Option {
	return func(s *settings) { s.webhook = c }
}

// WithPageURL sets the address at which people reach the live page, like GMPULSE_PAGE_URL, for
// the links in log lines and alerts. The default, and the meaning of "", is the address of the
// agent's server, which other machines may not reach.
func WithPageURL(url string) Option {
	return func(s *settings) { s.pageURL = url }
}

// WithLogger sets the agent's logger. The agent logs one line when it starts, one when it
// stops, one for each change of state, such as an exporter that begins to fail, and one for
// each change of an incident, see [WithLogEvents]. The default, and the meaning of nil, is [slog.Default].
func WithLogger(l *slog.Logger) Option {
	return func(s *settings) { s.logger = cmp.Or(l, s.logger) }
}
