// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	live "github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/peers/forward"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

// A malformed value of an optional variable is ignored with a warning that names the variable,
// the value and the accepted form.
func TestMalformedOptionalVariableIsAWarning(t *testing.T) {
	malformed := map[string]string{
		"GMPULSE_INTERVAL":         "soon",
		"GMPULSE_HOST_INTERVAL":    "2h",
		"GMPULSE_FLUENTD_INTERVAL": "1ms",
		"GMPULSE_SPOOL_MAX_BYTES":  "12",
		"GMPULSE_SPOOL_MAX_AGE":    "-1s",
		"GMPULSE_ALERTS_PER_WEEK":  "many",
		"GMPULSE_BASELINES":        "maybe",
		"GMPULSE_LABELS":           "2",
		"GMPULSE_ENRICH":           "yes please",
		"GMPULSE_DISABLED":         "perhaps",
		"GMPULSE_TRACE_URL":        "localhost:16686",
		"OTEL_SDK_DISABLED":        "1",
		"GMPULSE_METRICS":          "scheduler,gmpulse.[",
		"GMPULSE_GO_COLLECTORS":    "go_*",
		"OTEL_RESOURCE_ATTRIBUTES": "a=b,novalue",
	}
	for name, value := range malformed {
		t.Setenv(name, value)
	}
	log := new(lines)
	a, err := agent.Start(agent.WithListen("off"), agent.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	if got := a.Stats().Interval; got != time.Second {
		t.Errorf("interval %v, want the default", got)
	}
	optional := agent.Variables()
	for name, value := range malformed {
		if !optional[name] {
			t.Errorf("%s is not optional", name)
		}
		found := false
		for line := range strings.Lines(log.String()) {
			found = found || strings.Contains(line, "level=WARN") && strings.Contains(line, "variable="+name+" ") && strings.Contains(line, value) && strings.Contains(line, "want=")
		}
		if !found {
			t.Errorf("no warning names %s, %q and the accepted form:\n%s", name, value, log)
		}
	}
}

// Malformed variables that are not optional, and invalid options, are joined in one error.
func TestMalformedRequiredVariablesAreOneError(t *testing.T) {
	for name, value := range map[string]string{
		"GMPULSE_LISTEN":                "nowhere",
		"OTEL_EXPORTER_PROMETHEUS_PORT": "99999",
		"OTEL_EXPORTER_PROMETHEUS_HOST": "a b",
		"GMPULSE_INSECURE":              "maybe",
		"GMPULSE_TOKEN":                 "short",
		"GMPULSE_OPEN":                  "debug",
		"GMPULSE_FLUENTD":               "udp://fluentd:1",
		"GMPULSE_FLUENTD_TAG":           "a b",
		"GMPULSE_ALERTMANAGER":          "http://me:s3cret@am:9093,am2:9093",
		"GMPULSE_WEBHOOK":               "slak+https://hooks.example/s3cret",
	} {
		t.Setenv(name, value)
	}
	_, err := agent.Start(agent.WithInterval(24*time.Hour), agent.WithPage(live.Config{TraceURL: "x"}),
		agent.WithBaselines(&baseline.Config{AlertsPerWeek: -1}), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`GMPULSE_LISTEN="nowhere"`, "want host:port", `OTEL_EXPORTER_PROMETHEUS_PORT="99999"`, `OTEL_EXPORTER_PROMETHEUS_HOST="a b"`,
		`GMPULSE_INSECURE="maybe"`, "GMPULSE_TOKEN", "GMPULSE_OPEN", `GMPULSE_FLUENTD="udp://fluentd:1"`, "unknown scheme",
		`GMPULSE_ALERTMANAGER="http://xxxxx@am:9093,am2:9093"`, `GMPULSE_WEBHOOK="xxxxx"`,
		`GMPULSE_FLUENTD_TAG="a b"`, "WithInterval: 24h0m0s", "Config.TraceURL", "AlertsPerWeek",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not contain %s:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error contains a secret: %v", err)
	}
	for _, bad := range []string{"udp://host:1", "tcp://", "tcp://h:port", "%zz"} {
		t.Setenv("GMPULSE_FLUENTD", bad)
		if _, err := agent.Start(); err == nil || !strings.Contains(err.Error(), "GMPULSE_FLUENTD=") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// The standard exporters that stay in the process are called at every tick, Fluentd and others every ten
// seconds, or as the environment or, before it, an option says.
func TestIntervalsOfExporters(t *testing.T) {
	nothing := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return nil })
	url := forward.New(t, forward.Ack).URL()
	for name, tt := range map[string]struct {
		env  string
		opts []agent.Option
		want time.Duration
	}{
		"the default":              {want: 10 * time.Second},
		"the environment":          {env: "1m", want: time.Minute},
		"an option":                {env: "1m", opts: []agent.Option{agent.WithFluentd(fluentd.Config{URL: url}, engine.Every(5*time.Second))}, want: 5 * time.Second},
		"an option without a pace": {env: "1m", opts: []agent.Option{agent.WithFluentd(fluentd.Config{URL: url})}, want: time.Minute},
		"every tick":               {opts: []agent.Option{agent.WithFluentd(fluentd.Config{URL: url}, engine.EveryTick())}, want: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GMPULSE_FLUENTD", url)
			t.Setenv("GMPULSE_FLUENTD_INTERVAL", tt.env)
			log := new(lines)
			a, err := agent.Start(append(tt.opts, agent.WithListen("off"), agent.WithLogger(slog.New(slog.NewTextHandler(log, nil))),
				agent.WithEvidence(&evidence.Config{}), agent.WithExporter("own", nothing), agent.WithExporter("slow", nothing, engine.Every(time.Hour)))...)
			if err != nil {
				t.Fatal(err)
			}
			defer stop(t, a)
			want := map[string]time.Duration{
				"prometheus": time.Second, "page": time.Second, "evidence": time.Second, "incident_log": time.Second,
				"fluentd": tt.want, "own": 10 * time.Second, "slow": time.Hour,
			}
			for _, x := range a.Stats().Exporters {
				if x.Interval != want[x.Name] {
					t.Errorf("%s is called every %v, want %v", x.Name, x.Interval, want[x.Name])
				}
			}
			if !strings.Contains(log.String(), "fluentd_interval="+tt.want.String()) || strings.Contains(log.String(), "WARN") {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

// The error about an interval that is too long names WithInterval and no other setting.
func TestErrorOfLongIntervalNamesTheOption(t *testing.T) {
	_, err := agent.Start(agent.WithInterval(24*time.Hour), agent.WithListen("off"), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err == nil || !strings.Contains(err.Error(), "WithInterval") || strings.Contains(err.Error(), "TRACE_URL") || strings.Contains(err.Error(), "Resolution") {
		t.Errorf("%v", err)
	}
}

// Neither errors nor the log contain the secrets of a malformed address, whichever variable has
// it.
func TestErrorsContainNoSecrets(t *testing.T) {
	for _, value := range []string{
		"tcp://me:hunter2@host:port", "tcp://me:hunter2@host:1", "http://me:hunter2@[jaeger/{trace_id", "me:hunter2@host:80", "me:hunter2@host",
		"x://me:hun ter2hunter2@h", "http://me:%zzhunter2@jaeger/", "ftp://jaeger/?token=hunter2", "127.0.0.1:hunter2@1", "unix://me:hunter2@/path",
	} {
		t.Run(value, func(t *testing.T) {
			for name := range agent.Variables() {
				if name != "OTEL_SERVICE_NAME" && !strings.HasSuffix(name, "_DIR") && !strings.HasSuffix(name, "_FILE") { // these accept any text
					t.Setenv(name, value)
				}
			}
			log := new(lines)
			_, err := agent.Start(agent.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
			if err == nil {
				t.Fatal("no error")
			}
			text := err.Error() + log.String()
			if strings.Contains(text, "hunter2") {
				t.Errorf("the secret is in: %s", text)
			}
			for _, name := range []string{"GMPULSE_FLUENTD", "GMPULSE_OPEN", "GMPULSE_INTERVAL"} {
				if !strings.Contains(text, name) {
					t.Errorf("%s is not named: %s", name, text)
				}
			}
		})
	}
}

// All switches accept the same words.
func TestSwitchVariablesAcceptTheSameWords(t *testing.T) {
	for value, want := range map[string]bool{"on": true, "ON": true, "true": true, "1": true, "off": false, "False": false, "0": false} {
		t.Run(value, func(t *testing.T) {
			for _, name := range []string{"GMPULSE_BASELINES", "GMPULSE_LABELS", "GMPULSE_ENRICH", "GMPULSE_INSECURE"} {
				t.Setenv(name, value)
			}
			a, log := start(t, agent.WithListen("off"))
			if strings.Contains(log.String(), "WARN") {
				t.Errorf("log:\n%s", log)
			}
			testutil.Eventually(t, "a snapshot", func() bool { return a.Snapshot() != nil })
			if got := len(a.Snapshot().Bands) > 0; got != want {
				t.Errorf("the snapshot has bands: %v, want %v", got, want)
			}
			if refused := serve(t, a.Handler(), "/healthz") == 403; refused == want {
				t.Errorf("a client on another machine is refused: %v", refused)
			}
			stop(t, a)
		})
	}
}

// GMPULSE_DISABLED disables the agent, whatever else is malformed, and not tracing.
func TestGmpulseDisabledKeepsTracing(t *testing.T) {
	old := otel.GetTracerProvider()
	defer otel.SetTracerProvider(old)
	p := &countingProvider{TracerProvider: sdktrace.NewTracerProvider()}
	otel.SetTracerProvider(p)
	t.Setenv("GMPULSE_DISABLED", "1")
	t.Setenv("GMPULSE_LISTEN", "nowhere")
	log := new(lines)
	a, err := agent.Start(agent.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	if a.URL() != "" || a.Stats().Ticks != 0 || p.registered != 0 || a.Gauge("x", "", "X.", nil) != nil || !strings.Contains(log.String(), "by=GMPULSE_DISABLED") {
		t.Errorf("a disabled agent does something; log:\n%s", log)
	}
	_, span := otel.Tracer("t").Start(t.Context(), "GET /")
	defer span.End()
	if !span.IsRecording() {
		t.Error("the span is not recorded")
	}
	stop(t, a)
}

// warnings returns the lines of a log that are warnings.
func warnings(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Start logs a warning for each setting that has no effect.
func TestWarnsAboutSettingsWithoutEffect(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		env  map[string]string
		opts []agent.Option
		want string // text in a warning; "" if there must be none
	}{
		"a directory that cannot be created": {env: map[string]string{"GMPULSE_CAPTURE_DIR": filepath.Join(file, "below")}, want: "GMPULSE_CAPTURE_DIR"},
		"a new directory":                    {env: map[string]string{"GMPULSE_CAPTURE_DIR": filepath.Join(t.TempDir(), "new", "one")}},
		"a spool without Fluentd":            {env: map[string]string{"GMPULSE_SPOOL_DIR": t.TempDir()}, want: "neither GMPULSE_FLUENTD nor GMPULSE_WEBHOOK needs it"},
		"a spool as an option":               {opts: []agent.Option{agent.WithSpool(spool.Config{Dir: t.TempDir()})}, want: "neither GMPULSE_FLUENTD nor GMPULSE_WEBHOOK needs it"},
		"a tag without Fluentd":              {env: map[string]string{"GMPULSE_FLUENTD_TAG": "prod"}, want: "tag=prod"},
		"an interval without Fluentd":        {env: map[string]string{"GMPULSE_FLUENTD_INTERVAL": "1m"}, want: "the interval of Fluentd is not used"},
		"full records for Fluentd":           {env: map[string]string{"GMPULSE_RECORD": "full", "GMPULSE_FLUENTD": forward.New(t, forward.Ack).URL()}},
		"an unknown kind of record":          {env: map[string]string{"GMPULSE_RECORD": "everything"}, want: "variable=GMPULSE_RECORD"},
		"a spool with Fluentd":               {env: map[string]string{"GMPULSE_SPOOL_DIR": t.TempDir(), "GMPULSE_FLUENTD": forward.New(t, forward.Ack).URL()}},
		"a secret without a webhook":         {env: map[string]string{"GMPULSE_WEBHOOK_SECRET": "s3cret"}, want: "GMPULSE_WEBHOOK is not set"},
		"an unknown metric":                  {env: map[string]string{"GMPULSE_METRICS": "default,-systm,shop.*"}, want: "systm"},
		"an unknown name":                    {opts: []agent.Option{agent.WithMetrics("gmpulse_ticks_total")}, want: "gmpulse.ticks?"},
		"known metrics":                      {env: map[string]string{"GMPULSE_METRICS": "-system,user,gmpulse.exporter.*"}},
		"state without baselines":            {env: map[string]string{"GMPULSE_STATE_FILE": file, "GMPULSE_BASELINES": "0"}, want: "GMPULSE_STATE_FILE"},
		"an unknown ceiling":                 {opts: []agent.Option{agent.WithBaselines(&baseline.Config{Ceilings: map[string]float64{"gorutines": 1}})}, want: "signal=gorutines"},
		"an unknown number of root spans":    {opts: []agent.Option{agent.WithBaselines(&baseline.Config{Ceilings: map[string]float64{"root_span.p95 GET /cart": 1}})}, want: "signal=\"root_span.p95 GET /cart\""},
		"ceilings": {opts: []agent.Option{agent.WithBaselines(&baseline.Config{
			Ceilings: map[string]float64{"goroutines": 1e9, "root_span.p99 GET /cart": 1, "mine": 1e9}, Signals: []baseline.Signal{{Metric: "mine"}},
		})}},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			log := new(lines)
			opts := append([]agent.Option{agent.WithListen("off"), agent.WithLogger(slog.New(slog.NewTextHandler(log, nil)))}, tt.opts...)
			a, err := agent.Start(opts...)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := a.Stop(ctx); err != nil {
				t.Error(err)
			}
			warned := warnings(log.String())
			if tt.want == "" && warned != "" || !strings.Contains(warned, tt.want) {
				t.Errorf("warnings, want %q:\n%s", tt.want, warned)
			}
			if dir := tt.env["GMPULSE_CAPTURE_DIR"]; dir != "" && tt.want == "" {
				if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
					t.Errorf("left in the directory: %v, %v", left, err)
				}
			}
		})
	}
}
