// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// Option configures [Start]. Options override the environment. A nil Option is ignored.
type Option func(*settings)

// WithListen sets the address of the agent's own server, as GMPULSE_LISTEN does:
// host:port, port 0 for any free one, or "off". Default 127.0.0.1:9464, or the
// next free port on the loopback address when that is taken. An address beyond
// the loopback one needs [WithAccess]. Empty leaves it as it is.
func WithListen(address string) Option {
	return func(s *settings) {
		if address == "" {
			return
		}
		s.listen, s.listenFixed = address, true
		if strings.EqualFold(address, "off") {
			s.listen = ""
		}
	}
}

// WithInterval sets the time between two samples: 10 ms to one hour, default one
// second. Zero leaves it as it is.
func WithInterval(d time.Duration) Option {
	return func(s *settings) {
		if d != 0 {
			s.interval = d
		}
	}
}

// WithHostInterval sets the time between two looks at process, container and
// machine: 100 ms to one hour, default ten seconds. Zero leaves it as it is.
func WithHostInterval(d time.Duration) Option {
	return func(s *settings) {
		if d != 0 {
			s.hostInterval = d
		}
	}
}

// WithResource adds attributes that describe the process in every snapshot. The
// attribute service.name sets the name of the service. Attributes override those with the
// same key from the environment.
func WithResource(attrs ...runtimeinfo.Attr) Option {
	return func(s *settings) {
		for _, a := range attrs {
			if a.Key == "service.name" {
				s.service = a.Value
				continue
			}
			s.resource = append(s.resource, a)
		}
	}
}

// WithFluentd streams every sample and event to a server that speaks Fluentd's
// Forward protocol, as GMPULSE_FLUENTD does. The default of Tag is "gmpulse", of Service
// the agent's service name. An empty URL turns the stream off.
func WithFluentd(c fluentd.Config) Option {
	return func(s *settings) { s.fluentd = c }
}

// WithSpool sets where records of the stream to Fluentd wait while the server is
// away, as GMPULSE_SPOOL_DIR and its sisters do: in memory without a Dir. Name and
// Logger are the agent's. An exporter of your own is wrapped with [spool.New].
func WithSpool(c spool.Config) Option {
	return func(s *settings) { s.spool = c }
}

// WithAccess sets who may ask the agent's server, as GMPULSE_TOKEN, GMPULSE_OPEN
// and GMPULSE_INSECURE do. A Token is asked for by [Agent.Handler] too.
func WithAccess(a Access) Option {
	return func(s *settings) { s.access = a }
}

// WithPage configures the live page: where it links traces to, as
// GMPULSE_TRACE_URL does, and captures. The default of Goroutines is [Agent.Goroutines],
// of Resolution the interval of the samples, at least a second.
func WithPage(c page.Config) Option {
	return func(s *settings) { s.page = c }
}

// WithEnrichment false leaves spans as they are, as GMPULSE_ENRICH=off does: no
// gmpulse.process.* attributes, no gmpulse.runtime.sample events on long ones. Default true.
func WithEnrichment(on bool) Option {
	return func(s *settings) { s.noEnrichment = !on }
}

// WithLabels false leaves goroutines without profiler labels, as GMPULSE_LABELS=off does:
// leaks are found, but not under which root span they were created. Default true.
func WithLabels(on bool) Option {
	return func(s *settings) { s.noLabels = !on }
}

// WithDisabled true makes [Start] return an agent that does nothing, as
// GMPULSE_DISABLED=on does; false overrides that variable and OTEL_SDK_DISABLED.
func WithDisabled(disabled bool) Option {
	return func(s *settings) {
		if s.disabledBy = ""; disabled {
			s.disabledBy = "WithDisabled"
		}
	}
}

// WithExporter adds an exporter under a name that tells it from others in
// metrics and logs. "prometheus", "page",
// "fluentd" and "evidence" are taken.
func WithExporter(name string, e exporters.Exporter) Option {
	return func(s *settings) { s.exporters = append(s.exporters, namedExporter{name: name, exporter: e}) }
}

// WithQueue adds an exporter with a queue of its own, see [engine.WithQueue]. An exporter
// behind a spool is one:
//
//	x, err := spool.New(next, spool.Config{Name: "otlp", Dir: dir})
//	a, err := agent.Start(agent.WithQueue("otlp", x, x.ExporterStats))
func WithQueue(name string, e exporters.Exporter, stats func() exporters.Stats) Option {
	return func(s *settings) { s.exporters = append(s.exporters, namedExporter{name, e, stats}) }
}

// WithBaselines sets the signals that are watched in addition to the default ones, the
// target number of false alarms, and the state file, as GMPULSE_ALERTS_PER_WEEK and
// GMPULSE_STATE_FILE do. The default of Logger is the agent's. Nil turns baselines off.
func WithBaselines(c *baseline.Config) Option {
	return func(s *settings) {
		if s.noBaselines = c == nil; c != nil {
			s.baselines = *c
		}
	}
}

// WithEvidence keeps a bundle of evidence of each incident, as GMPULSE_CAPTURE_DIR
// does: profiles, samples and spans, that go tool pprof opens. Without a Dir the last two
// are kept in memory. Trace, Goroutines, Record and Logger, where nil, are the agent's.
func WithEvidence(c evidence.Config) Option {
	return func(s *settings) { s.evidence = &c }
}

// WithRecorder replaces the recorder of execution traces that Start makes, for
// example by one that also looks into slow spans:
//
//	r, err := exectrace.New(exectrace.Config{Mode: exectrace.DutyCycle})
//	a, err := agent.Start(agent.WithRecorder(r))
//
// While a group of goroutines is suspicious the agent records for five seconds now and
// then, to see whether its members run; bundles of evidence have an execution trace. The
// agent runs the recorder until Stop, if it can be run ([exectrace.Recorder.Run]), and
// reports the slow spans that it looked into.
//
// Nil turns recordings off, as GMPULSE_RECORDER=off does: then no group is reported as a
// leak unless the garbage collector proves it.
//
// [exectrace.Recorder.Run]: https://pkg.go.dev/github.com/gmpulse/gmpulse/tracectx/exectrace#Recorder.Run
func WithRecorder(r *exectrace.Recorder) Option {
	return func(s *settings) { s.recorder, s.noRecorder = r, r == nil }
}

// WithLogger sets where the agent logs: one line at start, one at stop, and one
// for each change of state such as an exporter that begins to fail. Default, and
// nil, is slog.Default().
func WithLogger(l *slog.Logger) Option {
	return func(s *settings) {
		if l != nil {
			s.logger = l
		}
	}
}
