// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/redact"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// settings is what Start goes by, after defaults, environment and options.
type settings struct {
	disabledBy   string // the variable that turns the agent off, "" for none
	wrong        error  // what of the environment Start fails for
	listen       string // "" is off
	listenFixed  bool   // asked for: do not move to another port
	interval     time.Duration
	hostInterval time.Duration
	fluentd      fluentd.Config // URL "" is off
	spool        spool.Config   // of the stream to fluentd
	noLabels     bool
	noEnrichment bool
	noBaselines  bool
	baselines    baseline.Config
	access       Access
	page         page.Config
	evidence     *evidence.Config // nil is off
	noRecorder   bool
	recorder     *exectrace.Recorder // nil is the default one
	service      string
	resource     []runtimeinfo.Attr
	logger       *slog.Logger
	exporters    []namedExporter
	warnings     []warning
}

type namedExporter struct {
	name     string
	exporter exporters.Exporter
	queue    func() exporters.Stats // nil for none
}

// warning is a setting that has no effect, and why.
type warning struct {
	message string
	attrs   []slog.Attr
}

// Variable is one environment variable that Start reads.
type Variable struct {
	Name    string
	Form    string // the accepted form, as error messages have it
	Default string
	Help    string
	// Optional reports how Start treats a malformed value: if true, it logs a warning and
	// uses the default, else it returns an error. Variables for addresses, access and the
	// destination of records are not optional.
	Optional bool

	set func(*settings, string) error
}

// Variables returns every environment variable that Start reads, in the order
// in which they apply: later ones overrule earlier ones, and options overrule
// all. An empty variable counts as unset.
func Variables() []Variable {
	return []Variable{
		{"OTEL_SDK_DISABLED", "true or false", "false", "true: Start returns an agent that does nothing.", true, setSDKDisabled},
		{"GMPULSE_DISABLED", formSwitch, "off", "on: Start returns an agent that does nothing; tracing goes on. off overrules OTEL_SDK_DISABLED.", true, setDisabled},
		{"OTEL_RESOURCE_ATTRIBUTES", "key=value,key=value, percent-encoded", "", "Attributes that describe the process in every snapshot.", true, setResource},
		{"OTEL_SERVICE_NAME", "text", "the name of the main package", "service.name; overrules the one in OTEL_RESOURCE_ATTRIBUTES.", true, setService},
		{"OTEL_EXPORTER_PROMETHEUS_HOST", "a host name or address", "localhost", "Where /metrics is served.", false, setPrometheusHost},
		{"OTEL_EXPORTER_PROMETHEUS_PORT", "a port, 0 for any free one", "9464", "Where /metrics is served.", false, setPrometheusPort},
		{"GMPULSE_LISTEN", "host:port, port 0 for any free one, or off", "127.0.0.1:9464, else the next free port", "Where the live page, /metrics and /healthz are served.", false, setListen},
		{"GMPULSE_TOKEN", "at least 16 characters", "none", "What requests must carry, as bearer token or as the password of basic authentication. Without one, only requests from this machine are answered.", false, setToken},
		{"GMPULSE_OPEN", "metrics, healthz, or metrics,healthz", "none", "What anybody may have without the token.", false, setOpen},
		{"GMPULSE_INSECURE", formSwitch, "off", "on: serve everything to everybody beyond the loopback address, and through Agent.Handler.", false, setInsecure},
		{"GMPULSE_INTERVAL", "a duration such as 1s or 250ms, from 10ms to 1h", "1s", "Time between two samples.", true, setInterval},
		{"GMPULSE_HOST_INTERVAL", "a duration such as 10s, from 100ms to 1h", "10s", "Time between two looks at process, container and machine.", true, setHostInterval},
		{"GMPULSE_LABELS", formSwitch, "on", "off: goroutines are not labelled with the root span that they are created under; leaks are then not tied to spans.", true, setLabels},
		{"GMPULSE_TRACE_URL", "an http or https address with {trace_id} in it", "", "Where the live page links traces to, such as http://localhost:16686/trace/{trace_id} for Jaeger.", true, setTraceURL},
		{"GMPULSE_BASELINES", formSwitch, "on", "off: nothing is learned of what is normal, and no anomaly is reported.", true, setBaselines},
		{"GMPULSE_ALERTS_PER_WEEK", "a number from 0.01 to 1000", "1", "Target number of false alarms per week and group of signals.", true, setAlertsPerWeek},
		{"GMPULSE_STATE_FILE", "a path", "", "Where what is normal is kept over a restart; empty: each start learns anew.", true, setStateFile},
		{"GMPULSE_ENRICH", formSwitch, "on", "off: spans are left as they are: no gmpulse.process.* attributes, no gmpulse.runtime.sample events on long ones.", true, setEnrich},
		{"GMPULSE_RECORDER", formSwitch, "on", "off: no execution traces are recorded; goroutines are then reported as leaked only where the garbage collector proves it.", true, setRecorder},
		{"GMPULSE_CAPTURE_DIR", "a directory", "none: no evidence is kept", "Where a bundle of evidence is kept of each incident: profiles, samples, spans; at most 256 MiB.", true, setCaptureDir},
		{"GMPULSE_FLUENTD", "tcp://host:port, tls://host:port or unix:///path", "off", "Stream every sample and event to Fluentd, Fluent Bit or an OpenTelemetry Collector.", false, setFluentd},
		{"GMPULSE_FLUENTD_TAG", "words joined by dots", "gmpulse", "First part of the tag: <tag>.<service>.runtime and .event.", false, setFluentdTag},
		{"GMPULSE_SPOOL_DIR", "a directory", "none: in memory", "Where records of the stream wait on disk while the server is away, over restarts too.", false, setSpoolDir},
		{"GMPULSE_SPOOL_MAX_BYTES", "a number of bytes, at least 65536", "67108864 on disk, 4194304 in memory", "How much may wait; the oldest samples give way first, events last.", true, setSpoolMaxBytes},
		{"GMPULSE_SPOOL_MAX_AGE", "a duration such as 72h", "72h", "How long a record may wait.", true, setSpoolMaxAge},
	}
}

// formSwitch is the form of every variable that turns something on or off.
const formSwitch = "on or off (also true or false, 1 or 0)"

const (
	defaultListen = "127.0.0.1:9464"
	defaultTag    = "gmpulse"
)

// fromEnvironment applies all variables that getenv knows. A value that is not of the
// accepted form changes nothing: it becomes a warning, or a part of settings.wrong.
func fromEnvironment(getenv func(string) string) settings {
	s := settings{listen: defaultListen, logger: slog.Default(), fluentd: fluentd.Config{Tag: defaultTag}}
	var errs []error
	for _, v := range Variables() {
		value := strings.TrimSpace(getenv(v.Name))
		if value == "" {
			continue
		}
		changed := s
		err := v.set(&changed, value)
		if err == nil {
			s = changed
			continue
		}
		shown := redact.URL(value)
		if shown != value && !errors.As(err, new(clean)) {
			err = errors.New("malformed") // the error may repeat what is hidden
		}
		if v.Optional {
			s.warn("gmpulse: a setting is ignored and the default holds",
				slog.String("variable", v.Name), slog.String("value", shown), slog.Any("error", err), slog.String("want", v.Form))
			continue
		}
		errs = append(errs, fmt.Errorf("agent: %s=%q: %w; want %s", v.Name, shown, err, v.Form))
	}
	s.wrong = errors.Join(errs...)
	return s
}

// clean is an error that repeats no secret of the value.
type clean struct{ error }

func (s *settings) warn(message string, attrs ...slog.Attr) {
	s.warnings = append(s.warnings, warning{message, attrs})
}

// warnOfPointless notes settings that have no effect without another.
func (s *settings) warnOfPointless() {
	spooled := s.spool.Dir != "" || s.spool.MaxBytes != 0 || s.spool.MaxAge != 0
	if s.fluentd.URL == "" && spooled {
		s.warn("gmpulse: nothing is spooled: GMPULSE_SPOOL_* and WithSpool are for the stream to Fluentd, and GMPULSE_FLUENTD is not set", slog.String("dir", s.spool.Dir))
	}
	if s.fluentd.URL == "" && s.fluentd.Tag != "" && s.fluentd.Tag != defaultTag {
		s.warn("gmpulse: nothing is streamed: a tag is set, and GMPULSE_FLUENTD is not", slog.String("tag", s.fluentd.Tag))
	}
	if s.noBaselines && (s.baselines.StateFile != "" || s.baselines.AlertsPerWeek != 0) {
		s.warn("gmpulse: baselines are off: GMPULSE_STATE_FILE and GMPULSE_ALERTS_PER_WEEK have no effect")
	}
}

// unread returns the names of variables that look as if they were for the agent, and
// are not: a typing error changes nothing, and should not do so silently.
// Kubernetes makes some of its own for each service whose name begins with gmpulse.
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
	return slices.ContainsFunc(Variables(), func(v Variable) bool { return v.Name == name })
}

// setSDKDisabled goes by OpenTelemetry's specification: what is neither true nor false
// is false, with a warning.
func setSDKDisabled(s *settings, v string) error {
	if strings.EqualFold(v, "true") {
		s.disabledBy = "OTEL_SDK_DISABLED"
		return nil
	}
	if !strings.EqualFold(v, "false") {
		return errors.New("neither true nor false, which counts as false")
	}
	return nil
}

func setDisabled(s *settings, v string) error {
	on, err := parseSwitch(v)
	s.disabledBy = ""
	if on {
		s.disabledBy = "GMPULSE_DISABLED"
	}
	return err
}

// parseSwitch reads a value of formSwitch.
func parseSwitch(v string) (on bool, err error) {
	switch strings.ToLower(v) {
	case "on", "true", "1":
		return true, nil
	case "off", "false", "0":
		return false, nil
	default:
		return false, errors.New("neither on nor off")
	}
}

func setResource(s *settings, v string) error {
	for pair := range strings.SplitSeq(v, ",") {
		if strings.TrimSpace(pair) == "" {
			continue // a comma at the end, which OpenTelemetry forgives
		}
		key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			return fmt.Errorf("%q is not key=value", pair)
		}
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if err != nil {
			return err
		}
		if key == "service.name" {
			s.service = value
			continue
		}
		s.resource = append(s.resource, runtimeinfo.Attr{Key: key, Value: value})
	}
	return nil
}

func setService(s *settings, v string) error {
	s.service = v
	return nil
}

func setPrometheusHost(s *settings, v string) error {
	if strings.ContainsAny(v, " /") {
		return errors.New("not a host")
	}
	_, port, _ := net.SplitHostPort(s.listen)
	s.listen, s.listenFixed = net.JoinHostPort(strings.Trim(v, "[]"), port), true
	return nil
}

func setPrometheusPort(s *settings, v string) error {
	if err := checkPort(v); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(s.listen)
	s.listen, s.listenFixed = net.JoinHostPort(host, v), true
	return nil
}

func setListen(s *settings, v string) error {
	s.listenFixed = true
	if strings.EqualFold(v, "off") {
		s.listen = ""
		return nil
	}
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return errors.New("not host:port")
	}
	s.listen = v
	return checkPort(port)
}

func checkPort(port string) error {
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("the port is no number from 0 to 65535")
	}
	return nil
}

func setInterval(s *settings, v string) (err error) {
	s.interval, err = interval(v, engine.MinInterval)
	return err
}

func setHostInterval(s *settings, v string) (err error) {
	s.hostInterval, err = interval(v, engine.MinHostInterval)
	return err
}

func interval(v string, least time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err == nil && (d < least || d > engine.MaxInterval) {
		err = fmt.Errorf("not between %v and %v", least, engine.MaxInterval)
	}
	return d, err
}

// duration parses a positive one.
func duration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err == nil && d <= 0 {
		err = errors.New("not above zero")
	}
	return d, err
}

func setLabels(s *settings, v string) error { return setOff(&s.noLabels, v) }

func setRecorder(s *settings, v string) error { return setOff(&s.noRecorder, v) }

func setEnrich(s *settings, v string) error { return setOff(&s.noEnrichment, v) }

// setOff reads a switch that is on by default.
func setOff(off *bool, v string) error {
	on, err := parseSwitch(v)
	*off = !on
	return err
}

func setTraceURL(s *settings, v string) error {
	s.page.TraceURL = v
	if _, err := page.New(page.Config{TraceURL: v}); err != nil {
		return errors.New("no such address")
	}
	return nil
}

func setToken(s *settings, v string) error {
	s.access.Token = v // checked with the options
	return nil
}

func setOpen(s *settings, v string) error {
	s.access.Open = nil
	for name := range strings.SplitSeq(v, ",") {
		s.access.Open = append(s.access.Open, "/"+strings.Trim(name, " /"))
	}
	return nil
}

func setInsecure(s *settings, v string) (err error) {
	s.access.Insecure, err = parseSwitch(v)
	return err
}

func setBaselines(s *settings, v string) error { return setOff(&s.noBaselines, v) }

func setAlertsPerWeek(s *settings, v string) error {
	n, err := strconv.ParseFloat(v, 64)
	if err == nil && !(n >= 0.01 && n <= 1000) {
		err = errors.New("out of range")
	}
	s.baselines.AlertsPerWeek = n
	return err
}

func setStateFile(s *settings, v string) error {
	s.baselines.StateFile = v
	return nil
}

func setFluentd(s *settings, v string) error {
	if strings.EqualFold(v, "off") {
		s.fluentd.URL = ""
		return nil
	}
	s.fluentd.URL = v
	if err := checkFluentd(fluentd.Config{URL: v}); err != nil {
		return clean{err}
	}
	return nil
}

// checkFluentd returns what is wrong with c, without the accepted form.
func checkFluentd(c fluentd.Config) error {
	_, err := fluentd.New(c)
	if err == nil {
		return nil
	}
	why, _, _ := strings.Cut(err.Error(), ": want ")
	return errors.New(why)
}

func setFluentdTag(s *settings, v string) error {
	s.fluentd.Tag = v
	return checkFluentd(fluentd.Config{URL: "tcp://localhost", Tag: v})
}

func setCaptureDir(s *settings, v string) error {
	s.evidence = &evidence.Config{Dir: v}
	return nil
}

func setSpoolDir(s *settings, v string) error {
	s.spool.Dir = v
	return nil
}

// setSpoolMaxBytes bounds the spool wherever it is: GMPULSE_SPOOL_DIR comes first.
func setSpoolMaxBytes(s *settings, v string) error {
	n, err := strconv.ParseInt(v, 10, 64)
	if err == nil && n < 64<<10 {
		err = errors.New("too small")
	}
	s.spool.MaxBytes = n
	if s.spool.Dir == "" {
		s.spool.MaxMemory = n
	}
	return err
}

func setSpoolMaxAge(s *settings, v string) (err error) {
	s.spool.MaxAge, err = duration(v)
	return err
}
