// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	live "github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines is the output of a logger.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start starts an agent with a short interval and stops it at the end of the test.
func start(t *testing.T, opts ...agent.Option) (*agent.Agent, *lines) {
	t.Helper()
	log := new(lines)
	opts = append([]agent.Option{
		agent.WithInterval(20 * time.Millisecond),
		agent.WithListen("127.0.0.1:0"),
		agent.WithLogger(slog.New(slog.NewTextHandler(log, nil))),
	}, opts...)
	a, err := agent.Start(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, a) })
	return a, log
}

func stop(t *testing.T, a *agent.Agent) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// WithMetrics and WithPrometheus choose what /metrics serves. The page has every metric.
func TestMetricsAreSelected(t *testing.T) {
	mine := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "mine", Help: "Mine."}, func() float64 { return 8 })
	a, _ := start(t, agent.WithMetrics("agent", "-gmpulse.exporter.*", "go.cpu.time"),
		agent.WithPrometheus(prom.Config{GoCollectors: true, Collectors: []prometheus.Collector{mine}}))
	testutil.Eventually(t, "/metrics has the metrics of the agent", func() bool {
		_, body := get(t, a.URL()+"metrics")
		return strings.Contains(body, "\ngmpulse_ticks_total ")
	})
	_, body := get(t, a.URL()+"metrics")
	for _, want := range []string{"\ngmpulse_cpu_time_seconds_total{", "\ngmpulse_host_failures_total ", "\ngo_goroutines ", "\nmine 8\n", "\ntarget_info{"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q", want)
		}
	}
	for _, not := range []string{"\ngmpulse_exporter_up{", "\ngmpulse_goroutine_user "} {
		if strings.Contains(body, not) {
			t.Errorf("%q is served", not)
		}
	}
	if _, ok := a.Snapshot().Number("gmpulse.goroutine.user"); !ok {
		t.Error("the snapshot lacks a metric that is not selected")
	}
	stop(t, a)
}

// GMPULSE_GO_COLLECTORS adds the families of client_golang.
func TestGoCollectorsFromTheEnvironment(t *testing.T) {
	t.Setenv("GMPULSE_GO_COLLECTORS", "on")
	a, _ := start(t)
	if _, body := get(t, a.URL()+"metrics"); !strings.Contains(body, "\nprocess_resident_memory_bytes ") {
		t.Error("/metrics lacks client_golang's families")
	}
	stop(t, a)
}

func TestWithMetricsReportsMalformedEntries(t *testing.T) {
	_, err := agent.Start(agent.WithListen("off"), agent.WithMetrics("default", "a b"), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err == nil || !strings.Contains(err.Error(), `WithMetrics: "a b"`) {
		t.Errorf("%v", err)
	}
}

func TestServerAnswersAllRoutes(t *testing.T) {
	a, log := start(t)
	testutil.Eventually(t, "/metrics has the metrics of the agent", func() bool {
		_, body := get(t, a.URL()+"metrics")
		return strings.Contains(body, "gmpulse_goroutine_user ") && !strings.Contains(body, "\ngo_goroutines ")
	})
	code, body := get(t, a.URL()+"healthz")
	var h struct {
		Status    string
		Age       *float64 `json:"last_sample_age_seconds"`
		Exporters []struct{ Name, State string }
	}
	if err := json.Unmarshal([]byte(body), &h); err != nil {
		t.Fatal(err)
	}
	if code != http.StatusOK || h.Status != "ok" || h.Age == nil || len(h.Exporters) != 3 || h.Exporters[0].State != "ok" {
		t.Errorf("healthz answers %d: %s", code, body)
	}
	if code, body := get(t, a.URL()); code != http.StatusOK || !strings.Contains(body, `href="metrics"`) {
		t.Errorf("index answers %d: %s", code, body)
	}
	if code, body := get(t, a.URL()+"debug/gmpulse/"); code != http.StatusOK || !strings.Contains(body, `src="main.js"`) {
		t.Errorf("the page answers %d: %s", code, body)
	}
	testutil.Eventually(t, "the page's API has the first snapshot", func() bool { // each exporter gets it on its own goroutine
		code, body := get(t, a.URL()+"debug/gmpulse/api/v1/meta")
		return code == http.StatusOK && strings.Contains(body, `"gmpulse.goroutine.user"`)
	})
	if code, _ := get(t, a.URL()+"debug/pprof/"); code != http.StatusNotFound {
		t.Errorf("/debug/pprof/ answers %d", code)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), a.URL()+"metrics") {
		t.Errorf("want one line with the address of /metrics, log:\n%s", log)
	}
	stop(t, a)
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "prometheus.accepted=") {
		t.Errorf("want a last line with the statistics of exporters, log:\n%s", log)
	}
}

// /healthz of a stopped agent answers 200, because the service may continue without the agent.
func TestHealthWhenStopped(t *testing.T) {
	a, _ := start(t)
	testutil.Eventually(t, "the first tick", func() bool { return a.Snapshot() != nil })
	stop(t, a)
	time.Sleep(2*time.Second + 100*time.Millisecond) // longer than the limit of Stats.Stalled
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, fromHere(http.MethodGet, "/healthz"))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"status": "stopped"`) {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

func TestSecondStartIsAnError(t *testing.T) {
	a, _ := start(t)
	if _, err := agent.Start(agent.WithListen("off")); err == nil || !strings.Contains(err.Error(), "an agent runs in this process already") {
		t.Errorf("second Start: %v", err)
	}
	stop(t, a)
	stop(t, a) // has no effect
	b, err := agent.Start(agent.WithListen("off"), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatalf("Start after Stop: %v", err)
	}
	stop(t, b)
}

// The agent sees the spans of a provider set before Start, and of another one set later.
func TestAttachesToEachGlobalProvider(t *testing.T) {
	old := otel.GetTracerProvider()
	defer otel.SetTracerProvider(old)
	before := sdktrace.NewTracerProvider()
	otel.SetTracerProvider(before)
	a, _ := start(t)
	_, span := otel.Tracer("t").Start(t.Context(), "GET /before")
	defer span.End()
	later := sdktrace.NewTracerProvider()
	otel.SetTracerProvider(later)
	testutil.Eventually(t, "spans of the later provider are seen", func() bool {
		_, span := otel.Tracer("t").Start(t.Context(), "GET /later")
		defer span.End()
		return active(t, a, "GET /before") == 1 && active(t, a, "GET /later") >= 1
	})
	s := a.Snapshot()
	if len(s.Spans) == 0 || s.Spans[0].Name != "GET /before" || s.Spans[0].TraceIDString() != span.SpanContext().TraceID().String() {
		t.Errorf("spans %+v", s.Spans)
	}
}

// Start unregisters its span processor if it returns an error.
func TestFailedStartDetaches(t *testing.T) {
	old := otel.GetTracerProvider()
	defer otel.SetTracerProvider(old)
	p := &countingProvider{TracerProvider: sdktrace.NewTracerProvider()}
	otel.SetTracerProvider(p)
	if _, err := agent.Start(agent.WithListen("256.0.0.1:1"), agent.WithLogger(slog.New(slog.DiscardHandler))); err == nil {
		t.Fatal("no error for an invalid address")
	}
	if p.registered != 1 || p.unregistered != 1 {
		t.Errorf("registered %d times, unregistered %d times", p.registered, p.unregistered)
	}
}

type countingProvider struct {
	*sdktrace.TracerProvider
	registered, unregistered int
}

func (p *countingProvider) RegisterSpanProcessor(sp sdktrace.SpanProcessor) {
	p.registered++
	p.TracerProvider.RegisterSpanProcessor(sp)
}

func (p *countingProvider) UnregisterSpanProcessor(sp sdktrace.SpanProcessor) {
	p.unregistered++
	p.TracerProvider.UnregisterSpanProcessor(sp)
}

// SpanProcessor reports the spans of a provider that is not the global one.
func TestSpanProcessorOfOtherProvider(t *testing.T) {
	a, _ := start(t)
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor()))
	_, span := tp.Tracer("t").Start(t.Context(), "job")
	testutil.Eventually(t, "the span is seen", func() bool { return active(t, a, "job") == 1 })
	span.End()
	testutil.Eventually(t, "the end of the span is seen", func() bool { return active(t, a, "job") == 0 })
}

// active waits for the next snapshot and returns its number of active spans of a name.
func active(t *testing.T, a *agent.Agent, name string) (n int) {
	t.Helper()
	var seen uint64
	if s := a.Snapshot(); s != nil {
		seen = s.Seq
	}
	testutil.Eventually(t, "the next tick", func() bool { s := a.Snapshot(); return s != nil && s.Seq > seen+1 })
	for p := range a.Snapshot().Points() {
		if p.Metric.Name == "gmpulse.root_span.active" && p.Labels[0] == name {
			n = int(p.Number)
		}
	}
	return n
}

func TestGaugeReachesMetrics(t *testing.T) {
	a, _ := start(t)
	if err := a.Gauge("queue.depth", "{item}", "Items that wait.", func() float64 { return 42 }); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "the gauge is scraped", func() bool {
		_, body := get(t, a.URL()+"metrics")
		return strings.Contains(body, "\ngmpulse_queue_depth 42\n")
	})
}

// A gauge of the application that reaches its ceiling is an anomaly in the snapshot, in the
// metrics and in an event.
func TestGaugeAtItsCeilingIsAnAnomaly(t *testing.T) {
	events := make(chan runtimeinfo.Event, 1)
	a, _ := start(t, agent.WithMetrics("baselines"),
		agent.WithBaselines(&baseline.Config{Signals: []baseline.Signal{{Metric: "queue.depth", Ceiling: 40}}}),
		agent.WithExporter("events", exporters.Func(func(_ context.Context, s *runtimeinfo.Snapshot) error {
			for _, e := range s.Events {
				if e.Name == "baseline.anomaly.opened" {
					select {
					case events <- e:
					default:
					}
				}
			}
			return nil
		})))
	if err := a.Gauge("queue.depth", "{item}", "Items that wait.", func() float64 { return 42 }); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "the anomaly is scraped", func() bool {
		_, body := get(t, a.URL()+"metrics")
		return strings.Contains(body, `gmpulse_anomaly{signal="queue.depth"} 1`) &&
			strings.Contains(body, `gmpulse_anomalies_total{signal="queue.depth"} 1`) &&
			strings.Contains(body, `gmpulse_anomaly{signal="goroutines"} 0`)
	})
	if found := a.Anomalies(); len(found) != 1 || found[0].Signal != "queue.depth" || found[0].Value != 42 {
		t.Errorf("anomalies %+v", found)
	}
	if e := <-events; !strings.Contains(e.Message, "queue.depth 42 has reached its ceiling of 40") {
		t.Errorf("event %q", e.Message)
	}
}

func TestBaselinesOff(t *testing.T) {
	t.Setenv("GMPULSE_BASELINES", "off")
	a, _ := start(t)
	testutil.Eventually(t, "a snapshot", func() bool { return a.Snapshot() != nil })
	if s := a.Snapshot(); len(s.Bands) != 0 {
		t.Errorf("bands %v", s.Bands)
	}
}

func TestHandlerWithoutListener(t *testing.T) {
	a, _ := start(t, agent.WithListen("off"))
	if a.URL() != "" {
		t.Errorf("URL %q", a.URL())
	}
	srv := httptest.NewServer(http.StripPrefix("/debug/gmpulse", a.Handler()))
	defer srv.Close()
	if code, body := get(t, srv.URL+"/debug/gmpulse/healthz"); code != http.StatusOK {
		t.Errorf("%d: %s", code, body)
	}
}

func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := agent.Start(agent.WithListen(taken.Addr().String())); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "GMPULSE_LISTEN") {
		t.Errorf("a configured address that is in use: %v", err)
	}

	// The agent uses another port if the default one is in use.
	block, err := net.Listen("tcp", "127.0.0.1:9464")
	if err == nil {
		defer block.Close()
	} // else another process uses the port
	log := new(lines)
	a, err := agent.Start(agent.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "wanted=127.0.0.1:9464") {
		t.Errorf("no warning that it listens elsewhere:\n%s", log)
	}
	if u := a.URL(); !strings.HasPrefix(u, "http://127.0.0.1:") || strings.Contains(u, ":9464/") {
		t.Errorf("URL %q", u)
	}
	if code, _ := get(t, a.URL()+"metrics"); code != http.StatusOK {
		t.Errorf("/metrics answers %d", code)
	}
}

// "off" switches the server off, "" does not.
func TestListenForms(t *testing.T) {
	for address, listens := range map[string]bool{"": true, "off": false, "OFF": false, "false": false} {
		a, err := agent.Start(agent.WithListen(address), agent.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatalf("%q: %v", address, err)
		}
		if got := a.URL() != ""; got != listens {
			t.Errorf("WithListen(%q): the server is on: %v, want %v", address, got, listens)
		}
		stop(t, a)
	}
}

// All methods of the agent that Start returns with an error can be called.
func TestFailedStartReturnsAnIdleAgent(t *testing.T) {
	t.Setenv("GMPULSE_LISTEN", "nowhere")
	a, err := agent.Start(agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err == nil {
		t.Fatal("no error")
	}
	if err := a.Gauge("queue.depth", "{item}", "Items that wait.", func() float64 { return 1 }); err == nil || !strings.Contains(err.Error(), "queue.depth") || !strings.Contains(err.Error(), "GMPULSE_LISTEN") {
		t.Errorf("a gauge on an agent that did not start: %v", err)
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", http.NoBody))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"disabled"`) {
		t.Errorf("healthz answers %d: %s", w.Code, w.Body)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor()))
	_, span := a.WrapTracerProvider(provider).Tracer("test").Start(t.Context(), "GET /")
	span.End()
	if a.Snapshot() != nil || a.URL() != "" || a.Stats().Ticks != 0 || len(a.Anomalies()) != 0 || a.Evidence() != nil {
		t.Error("an agent that did not start is active")
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	t.Run("disabled", func(t *testing.T) { // malformed variables do not matter then
		t.Setenv("OTEL_SDK_DISABLED", "true")
		if _, err := agent.Start(agent.WithLogger(slog.New(slog.DiscardHandler))); err != nil {
			t.Error(err)
		}
	})
}

func TestOtelSDKDisabledDisablesTheAgent(t *testing.T) {
	t.Setenv("OTEL_SDK_DISABLED", "TRUE")
	a, err := agent.Start(agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	if a.URL() != "" || a.Snapshot() != nil || a.Stats().Ticks != 0 || a.Gauge("x", "", "X.", nil) != nil {
		t.Error("a disabled agent is active")
	}
	srv := httptest.NewServer(a.Handler())
	defer srv.Close()
	if code, body := get(t, srv.URL+"/healthz"); code != http.StatusOK || !strings.Contains(body, `"disabled"`) {
		t.Errorf("healthz answers %d: %s", code, body)
	}
	if code, _ := get(t, srv.URL+"/metrics"); code != http.StatusNotFound {
		t.Errorf("/metrics answers %d", code)
	}
	stop(t, a)
}

// Start warns about unknown GMPULSE_ variables, except those that Kubernetes sets for a service
// named gmpulse.
func TestWarnsAboutUnknownVariables(t *testing.T) {
	for name, value := range map[string]string{
		"GMPULSE_INTERVALL":               "1s",
		"GMPULSE_TOKN":                    "secret",
		"GMPULSE_SERVICE_HOST":            "10.0.0.1",
		"GMPULSE_PORT":                    "tcp://10.0.0.1:9464",
		"GMPULSE_PORT_9464_TCP_ADDR":      "10.0.0.1",
		"GMPULSE_DEMO_SERVICE_PORT_PAGES": "9464",
	} {
		t.Setenv(name, value)
	}
	_, log := start(t)
	if !strings.Contains(log.String(), `names="[GMPULSE_INTERVALL GMPULSE_TOKN]"`) || strings.Contains(log.String(), "secret") {
		t.Errorf("log:\n%s", log)
	}
}

// Options override GMPULSE_*, which override OTEL_*, which override defaults.
func TestPrecedenceOfSettings(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "from-otel")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=never,deployment.environment.name=a%20b,team=x")
	t.Setenv("OTEL_EXPORTER_PROMETHEUS_PORT", "1") // a privileged port
	t.Setenv("GMPULSE_LISTEN", "127.0.0.1:0")
	t.Setenv("GMPULSE_INTERVAL", "1h")
	var first *runtimeinfo.Snapshot
	got := make(chan struct{})
	a, err := agent.Start(
		agent.WithLogger(slog.New(slog.DiscardHandler)),
		agent.WithInterval(30*time.Minute),
		agent.WithResource(resource.NewSchemaless(attribute.String("team", "y"))),
		agent.WithExporter("first", exporters.Func(func(_ context.Context, s *runtimeinfo.Snapshot) error {
			if first == nil {
				first = s
				close(got)
			}
			return nil
		})))
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	if a.Stats().Interval != 30*time.Minute {
		t.Errorf("interval %v", a.Stats().Interval)
	}
	<-got
	attrs := map[string]string{}
	for _, r := range first.Resource {
		if _, twice := attrs[r.Key]; twice {
			t.Errorf("%s appears twice", r.Key)
		}
		attrs[r.Key] = r.Value
	}
	for key, want := range map[string]string{"service.name": "from-otel", "deployment.environment.name": "a b", "team": "y"} {
		if attrs[key] != want {
			t.Errorf("%s is %q, want %q", key, attrs[key], want)
		}
	}
	if len(attrs["service.instance.id"]) != 36 {
		t.Errorf("service.instance.id is %q", attrs["service.instance.id"])
	}
}

// If Fluentd refuses connections, Start does not wait, Stop returns in time, and the agent logs
// one line.
func TestUnreachableFluentd(t *testing.T) {
	begin := time.Now()
	a, log := start(t, agent.WithFluentd(fluentd.Config{URL: "tcp://127.0.0.1:1"}))
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("Start took %v", took)
	}
	testutil.Eventually(t, "failures are counted", func() bool {
		for _, e := range a.Stats().Exporters {
			if e.Name == "fluentd" {
				return e.Errors+e.Timeouts > 3
			}
		}
		return false
	})
	if n := strings.Count(log.String(), "exporter fails"); n != 1 {
		t.Errorf("%d lines about the failure, want 1:\n%s", n, log)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := a.Stop(ctx); errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// Stop of a stopped agent returns nil even if its context is done.
func TestStopOfStoppedAgentIgnoresItsContext(t *testing.T) {
	a, _ := start(t)
	stop(t, a)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 64 { // select chooses at random among ready cases
		if err := a.Stop(over); err != nil {
			t.Fatal(err)
		}
	}
}

// A request that hangs does not delay Stop, even if its context has no deadline.
func TestStopWhileARequestHangs(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	a, _ := start(t, agent.WithPage(live.Config{Capture: func(context.Context, string) (string, error) {
		close(begun)
		<-release
		return "one", nil
	}}))
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL()+"debug/gmpulse/api/v1/captures", http.NoBody)
		if err != nil {
			t.Error(err)
			return
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			t.Error("the connection was not closed")
		}
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- a.Stop(context.Background()) }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("Stop waits for the request")
	}
	close(release)
	<-answered
}

// Two concurrent calls of Stop both return by their own deadline.
func TestConcurrentStop(t *testing.T) {
	release := make(chan struct{})
	a, err := agent.Start(
		agent.WithListen("off"),
		agent.WithLogger(slog.New(slog.DiscardHandler)),
		agent.WithExporter("stuck", exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error {
			<-release
			return nil
		}), engine.EveryTick()))
	if err != nil {
		t.Fatal(err)
	}
	defer close(release)
	long, cancelLong := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancelLong()
	short, cancelShort := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancelShort()
	done := make(chan error, 1)
	go func() { done <- a.Stop(long) }()
	begin := time.Now()
	if err := a.Stop(short); err == nil {
		t.Error("Stop returned nil after its deadline")
	}
	if first := time.Since(begin); first > 2500*time.Millisecond {
		t.Errorf("took %v", first)
	}
	// If the call with the short deadline was first, the other one returns its error.
	if err := <-done; err == nil || !strings.Contains(err.Error(), "stuck") && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop: %v", err)
	}
}

// Start ignores nil options, WithEnabled overrides the environment in both directions, and
// Shutdown can be called again.
func TestNilOptionsAndWithEnabled(t *testing.T) {
	t.Setenv("GMPULSE_DISABLED", "on")
	a, _ := start(t, nil, agent.WithEnabled(true), agent.WithLabels(false), nil)
	testutil.Eventually(t, "the agent ticks", func() bool { return a.Stats().Ticks > 0 })
	for range 2 {
		if err := a.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	t.Setenv("GMPULSE_DISABLED", "off")
	b, _ := start(t, agent.WithEnabled(false))
	if b.Snapshot() != nil || b.URL() != "" {
		t.Error("WithEnabled(false) starts the agent")
	}
}
