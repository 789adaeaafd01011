// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/internal/redact"
)

// variable is one environment variable that Start reads.
type variable struct {
	name        string
	form        string // the accepted form, as error messages state it
	defaultText string // for docs/configuration.md
	help        string
	// optional reports how Start treats a malformed value: if true, Start logs a warning and
	// uses the default, else it returns an error. Variables for addresses, access and the
	// destination of records are not optional.
	optional bool

	set func(*settings, string) error
}

// variables returns every environment variable that Start reads. Start applies them in this
// order: a later variable overrides an earlier one. An empty variable counts as unset.
func variables() []variable {
	return slices.Concat(generalVariables(), serverVariables(), analyzerVariables(), exporterVariables())
}

func generalVariables() []variable {
	return []variable{
		{"OTEL_SDK_DISABLED", "true or false", "false", "true: Start returns an agent that does nothing.", true, setSDKDisabled},
		{"GMPULSE_DISABLED", formSwitch, "off", "on: Start returns an agent that does nothing; tracing continues. off overrides OTEL_SDK_DISABLED.", true, setDisabled},
		{"OTEL_RESOURCE_ATTRIBUTES", "key=value,key=value, percent-encoded", "", "Attributes that describe the process in every snapshot. The well-formed ones of a malformed value are used.", true, setResource},
		{"OTEL_SERVICE_NAME", "text", "the name of the main package", "service.name; overrides the one in OTEL_RESOURCE_ATTRIBUTES.", true, setService},
		{"GMPULSE_INTERVAL", "a duration such as 1s or 250ms, from 10ms to 1h", "1s", "Time between two samples.", true, setInterval},
		{"GMPULSE_HOST_INTERVAL", "a duration such as 10s, from 100ms to 1h", "10s", "Time between two readings of process, container and host.", true, setHostInterval},
	}
}

func serverVariables() []variable {
	return []variable{
		{"OTEL_EXPORTER_PROMETHEUS_HOST", "a host name or address", "localhost", "Host of /metrics.", false, setPrometheusHost},
		{"OTEL_EXPORTER_PROMETHEUS_PORT", "a port, 0 for any free one", "9464", "Port of /metrics.", false, setPrometheusPort},
		{"GMPULSE_LISTEN", "host:port, port 0 for any free one, or off", "127.0.0.1:9464, else the next free port", "Address of the server with the live page, /metrics and /healthz.", false, setListen},
		{"GMPULSE_TOKEN", "at least 16 characters", "none", "Token that requests must carry, as bearer token or as the password of basic authentication. Without a token, the agent answers only requests from this machine.", false, text(func(s *settings) *string { return &s.access.Token })},
		{"GMPULSE_OPEN", "metrics, healthz, or metrics,healthz", "none", "Routes that need no token.", false, setOpen},
		{"GMPULSE_INSECURE", formSwitch, "off", "on: the server and Agent.Handler answer every client on every route.", false, on(func(s *settings) *bool { return &s.access.Insecure })},
		{"GMPULSE_PAGE_URL", "an http or https address", "the address of the agent's server", "Address at which people reach the live page, for the links in log lines and alerts.", true, setPageURL},
		{"GMPULSE_TRACE_URL", "an http or https address with {trace_id} in it", "", "Link of the live page to a trace, such as http://localhost:16686/trace/{trace_id} for Jaeger.", true, setTraceURL},
	}
}

func analyzerVariables() []variable {
	return []variable{
		{"GMPULSE_LABELS", formSwitch, "on", "off: goroutines have no profiler label with the root span under which they were created, so leaks are not attributed to spans.", true, off(func(s *settings) *bool { return &s.noLabels })},
		{"GMPULSE_ENRICH", formSwitch, "on", "off: spans get no gmpulse.process.* attributes and no gmpulse.runtime.sample events.", true, off(func(s *settings) *bool { return &s.noEnrichment })},
		{"GMPULSE_BASELINES", formSwitch, "on", "off: the agent learns no baselines and reports no anomalies.", true, off(func(s *settings) *bool { return &s.noBaselines })},
		{"GMPULSE_ALERTS_PER_WEEK", "a number from 0.01 to 1000", "1", "Target number of false alarms per week and group of signals.", true, setAlertsPerWeek},
		{"GMPULSE_STATE_FILE", "a path", "", "File that keeps the baselines over a restart. If empty, every start learns them again.", true, text(func(s *settings) *string { return &s.baselines.StateFile })},
		{"GMPULSE_CPU_PROFILE", "two durations such as 1s/30s, of a profile and of its period, or off", "off", "Takes a CPU profile in every period, for the CPU time by root span and for flame graphs of the past. While it runs, CPU profiles of the application fail.", true, setCPUProfile},
		{"GMPULSE_RECORDER", formSwitch, "on", "off: the agent records no execution traces. It then reports a group of goroutines as leaked only if the garbage collector proves it.", true, off(func(s *settings) *bool { return &s.noRecorder })},
	}
}

func exporterVariables() []variable {
	return []variable{
		{"GMPULSE_LOG_EVENTS", formSwitch, "on", "off: the agent logs no line when a leak, stuck requests or an anomaly is opened, worsened or closed.", true, setLogEvents},
		{"GMPULSE_ALERTMANAGER", "http://host:port, more of them separated by commas, or off", "off", "Addresses of all Alertmanagers of a cluster, to which the agent sends incidents as alerts.", false, setAlertmanager},
		{"GMPULSE_WEBHOOK", "an https address, or slack+https://..., feishu+, dingtalk+, wecom+, or off", "off", "Address to which the agent posts each incident, as signed JSON or as a message of Slack, Feishu, DingTalk or WeCom.", false, setWebhook},
		{"GMPULSE_WEBHOOK_SECRET", "text", "none", "Secret that signs the requests of GMPULSE_WEBHOOK.", false, text(func(s *settings) *string { return &s.webhook.Secret })},
		{"GMPULSE_CAPTURE_DIR", "a directory, or off", "off", "Directory for a bundle of evidence per incident: profiles, samples, spans; at most 256 MiB.", true, setCaptureDir},
		{"GMPULSE_METRICS", "default, all, subsystems, metrics and patterns with commas between them, - before what to leave out", "default", "Metrics on /metrics, such as default,-container,gmpulse.exporter.*; docs/metrics.md has the names. The live page has all.", true, setMetrics},
		{"GMPULSE_GO_COLLECTORS", formSwitch, "off", "on: /metrics also has the go_* and process_* families of client_golang, for dashboards that query those.", true, on(func(s *settings) *bool { return &s.prometheus.GoCollectors })},
		{"GMPULSE_FLUENTD", "tcp://host:port, tls://host:port, unix:///path, or off", "off", "Address of Fluentd, Fluent Bit or an OpenTelemetry Collector, to which the agent sends samples and events.", false, setFluentd},
		{"GMPULSE_FLUENTD_INTERVAL", "a duration such as 10s or 1m, from 10ms to 1h", "10s", "Time between two records of samples to Fluentd, each a summary of the samples since the last. Events go at once.", true, setFluentdInterval},
		{"GMPULSE_FLUENTD_TAG", "words joined by dots", "gmpulse", "First part of the tag: <tag>.<service>.runtime and .event.", false, setFluentdTag},
		{"GMPULSE_FLUENTD_CA", "a file of certificates in PEM form", "the system's roots", "Authority that signed the certificate of a tls:// server.", false, setFluentdCA},
		{"GMPULSE_FLUENTD_CERT", "a file in PEM form", "none", "Certificate of this client, for a tls:// server that requires one. The agent reads the three files again for each connection.", false, text(func(s *settings) *string { return &s.fluentd.CertFile })},
		{"GMPULSE_FLUENTD_KEY", "a file in PEM form", "none", "Key of that certificate.", false, text(func(s *settings) *string { return &s.fluentd.KeyFile })},
		{"GMPULSE_FLUENTD_SHARED_KEY", "text", "none", "The server's shared_key. The server must have it too.", false, text(func(s *settings) *string { return &s.fluentd.SharedKey })},
		{"GMPULSE_FLUENTD_USER", "text", "none", "User, for a server that authenticates users in addition to the shared key.", false, text(func(s *settings) *string { return &s.fluentd.Username })},
		{"GMPULSE_FLUENTD_PASSWORD", "text", "none", "Password of that user.", false, text(func(s *settings) *string { return &s.fluentd.Password })},
		{"GMPULSE_RECORD", "compact or full", "compact", "full: the records for Fluentd have every value, about seven times as many bytes.", true, setRecord},
		{"GMPULSE_SPOOL_DIR", "a directory", "none: in memory", "Directory for records that wait for Fluentd, and for events that wait for GMPULSE_WEBHOOK, in a file each. They survive a restart there.", false, text(func(s *settings) *string { return &s.spool.Dir })},
		{"GMPULSE_SPOOL_MAX_BYTES", "a number of bytes, at least 65536", "67108864 on disk, 4194304 in memory", "Maximum size of the waiting records. The oldest samples are dropped first, events last. Events for a webhook take at most 4 MiB more, on disk.", true, setSpoolMaxBytes},
		{"GMPULSE_SPOOL_MAX_AGE", "a duration such as 72h", "72h", "Maximum age of a waiting record or event.", true, setSpoolMaxAge},
	}
}

// formSwitch is the accepted form of every variable that switches something on or off.
const formSwitch = "on or off (also true or false, 1 or 0)"

const (
	defaultHost = "127.0.0.1"
	defaultPort = 9464
	defaultTag  = "gmpulse"
)

// fromEnvironment returns the settings that the variables in getenv ask for. A malformed
// value changes no setting: it becomes a warning, or a part of settings.wrong.
func fromEnvironment(getenv func(string) string) settings {
	s := settings{listen: net.JoinHostPort(defaultHost, strconv.Itoa(defaultPort)), logger: slog.Default(), fluentd: fluentd.Config{Tag: defaultTag}}
	var errs []error
	for _, v := range variables() {
		if value := strings.TrimSpace(getenv(v.name)); value != "" {
			errs = append(errs, s.apply(&v, value))
		}
	}
	if err := s.checkFluentd(); err != nil {
		errs = append(errs, err)
	}
	s.wrong = errors.Join(errs...)
	return s
}

// apply applies the value of a variable. It warns about a malformed value of an optional variable,
// and returns an error for a malformed value of another.
func (s *settings) apply(v *variable, value string) error {
	changed := *s
	err := v.set(&changed, value)
	isPartial := errors.As(err, new(partial))
	if err == nil || isPartial {
		*s = changed
	}
	if err == nil {
		return nil
	}
	shown := redact.URL(value)
	switch {
	case errors.As(err, new(hidden)):
		shown = "xxxxx"
	case shown != value && !errors.As(err, new(clean)):
		err = errors.New("malformed") // the error may contain the secret
	}
	if !v.optional {
		return fmt.Errorf("agent: %s=%q: %w; want %s", v.name, shown, err, v.form)
	}
	message := "gmpulse: a malformed variable is ignored and the default is used"
	if isPartial {
		message = "gmpulse: the malformed part of a variable is ignored"
	}
	s.warn(message,
		slog.String("variable", v.name), slog.String("value", shown), slog.Any("error", err), slog.String("want", v.form))
	return nil
}

// partial is an error about one part of a value. The rest has been applied.
type partial struct{ error }

// clean is an error whose text contains no secret of the value.
type clean struct{ error }

// hidden is a clean error about a value that is a secret altogether.
type hidden struct{ clean }

// unread returns the GMPULSE_ variables that Start does not read, such as misspelled ones.
// It leaves out the variables that Kubernetes sets for each service whose name begins with
// gmpulse.
func unread(environ []string) (names []string) {
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		kubernetes := strings.Contains(name, "_SERVICE_") || strings.Contains(name+"_", "_PORT_")
		if strings.HasPrefix(name, "GMPULSE_") && !kubernetes && !isVariable(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func isVariable(name string) bool {
	return slices.ContainsFunc(variables(), func(v variable) bool { return v.name == name })
}
