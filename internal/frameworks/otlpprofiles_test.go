// SPDX-License-Identifier: Apache-2.0

package frameworks

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/otlp/otlpprofiles"
	"github.com/gmpulse/gmpulse/internal/peers"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
	"github.com/gmpulse/gmpulse/tracectx"
)

// An agent takes profiles of a service whose root spans use the CPU and sends them to the receiver of the
// OpenTelemetry Collector, as docs/opentelemetry.md has it.
func TestAgentSendsProfilesToTheCollector(t *testing.T) {
	c := peers.StartCollector(t)
	t.Run("all profiles arrive", func(t *testing.T) { testAllProfilesArrive(t, c) })
	t.Run("Stop counts what it cannot send", func(t *testing.T) { testStopCounts(t, c) })
}

func testAllProfilesArrive(t *testing.T, c *peers.Collector) {
	t.Helper()
	s := startService(t, c, true)
	cart, endCart := s.burn("GET /cart")
	defer endCart()
	_, endUnsampled := s.burn("GET /unsampled")
	defer endUnsampled()
	testutil.Eventually(t, "CPU profiles of both root spans and a link arrive", func() bool {
		linked, roots := false, map[any]bool{}
		for _, r := range s.records(c.Records(t)) {
			if kindOf(&r) == "cpu" {
				linked = linked || r.TraceID != ""
				roots[rootOf(&r)] = true
			}
		}
		return linked && roots["GET /cart"] && roots["GET /unsampled"]
	})
	s.gate.closed.Store(true)
	had := s.sent.count()
	testutil.Eventually(t, "profiles wait", func() bool { return s.sent.count() >= had+3 })
	s.gate.closed.Store(false)
	had = s.sent.count()
	s.stop(t, 20*time.Second)

	// The agent may end a profile while the exporter sends those that wait. It is counted.
	a := s.exporter.ExporterStats().Snapshots
	n := s.sent.count() - int(a.Lost())
	if n < had || a.Lost() != a.Dropped(exporters.DropShutdown) || a.Pending != 0 {
		t.Fatalf("%d of %d profiles that the agent had taken before Stop, %+v", n, had, a)
	}
	records := s.records(c.Records(t))
	if got, want := arrived(records), s.sent.values(t, n); !maps.Equal(got, want) {
		t.Errorf("sums by profile and root span\n%v\nwant\n%v", got, want)
	}
	checkResource(t, records)
	checkLinks(t, records, cart)
	checkAgent(t, records)
}

// While the server answers 503, Stop returns by its deadline and counts the profiles that wait.
func testStopCounts(t *testing.T, c *peers.Collector) {
	t.Helper()
	s := startService(t, c, false)
	_, end := s.burn("GET /cart")
	defer end()
	testutil.Eventually(t, "profiles wait", func() bool { return s.sent.count() >= 4 })
	s.stop(t, 2*time.Second)
	a := s.exporter.ExporterStats().Snapshots
	if n := s.sent.count(); a.Dropped(exporters.DropShutdown) != uint64(n) || a.Pending != 0 {
		t.Errorf("%d profiles taken, %+v", n, a)
	}
	if n := len(s.records(c.Records(t))); n != 0 {
		t.Errorf("%d samples have arrived", n)
	}
}

func checkResource(t *testing.T, records []peers.Record) {
	t.Helper()
	for i := range records {
		if r := &records[i]; r.Resource["service.name"] != "shop" || r.Resource["team"] != "blue" {
			t.Errorf("the resource of a %v profile is %v", kindOf(r), r.Resource)
		}
	}
}

// checkLinks checks that the samples of the sampled root span have a link to it, from the first profile that began
// after the agent had seen the span, and that other samples have none.
func checkLinks(t *testing.T, records []peers.Record, cart trace.SpanContext) {
	t.Helper()
	linked := map[bool]map[json.Number]bool{true: {}, false: {}} // starts of CPU profiles
	for i := range records {
		r := &records[i]
		if has := r.TraceID != ""; has != (r.Attributes["relation"] == "concurrent") {
			t.Errorf("a sample of %v has the link %q and the relation %v", rootOf(r), r.TraceID, r.Attributes["relation"])
		}
		switch {
		case rootOf(r) == "GET /cart" && kindOf(r) == "cpu":
			linked[r.TraceID != ""][r.Start] = true
			fallthrough
		case rootOf(r) == "GET /cart":
			if r.TraceID != "" && (r.TraceID != cart.TraceID().String() || r.SpanID != cart.SpanID().String()) {
				t.Errorf("a link to %s of %s, not to %s of %s", r.SpanID, r.TraceID, cart.SpanID(), cart.TraceID())
			}
		case r.TraceID != "":
			t.Errorf("a sample of %v has a link", rootOf(r))
		}
	}
	with, without := slices.Sorted(maps.Keys(linked[true])), slices.Sorted(maps.Keys(linked[false]))
	if len(with) == 0 || len(without) > 0 && without[len(without)-1] > with[0] {
		t.Errorf("profiles with links began at %v, without at %v", with, without)
	}
}

// checkAgent checks that goroutines of the agent have its label and no root span.
func checkAgent(t *testing.T, records []peers.Record) {
	t.Helper()
	parts := map[any]bool{}
	for i := range records {
		r := &records[i]
		part := r.Attributes[engine.ProfilerLabel]
		if part != nil && rootOf(r) != nil {
			t.Errorf("a sample of the agent's %v has the root span %v", part, rootOf(r))
		}
		if kindOf(r) == "goroutine" {
			parts[part] = true
		}
	}
	if !parts["tick"] || !parts["profiler"] {
		t.Errorf("goroutines of the parts %v of the agent", parts)
	}
}

// service is a process with an agent that profiles it.
type service struct {
	agent    *agent.Agent
	exporter *otlpprofiles.Exporter
	gate     *gate
	sent     sent
	tracer   trace.Tracer
}

func startService(t *testing.T, c *peers.Collector, open bool) *service {
	t.Helper()
	s := &service{gate: newGate(t, c, open)}
	logger := slog.New(slog.DiscardHandler)
	var err error
	if s.exporter, err = otlpprofiles.New(otlpprofiles.Config{Endpoint: s.gate.url, Logger: logger}); err != nil {
		t.Fatal(err)
	}
	s.agent, err = agent.Start(
		agent.WithListen("off"), agent.WithLogger(logger), agent.WithInterval(50*time.Millisecond),
		agent.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop"), attribute.String("team", "blue"))),
		agent.WithProfiler(&profiler.Config{
			For: 300 * time.Millisecond, Every: 600 * time.Millisecond,
			Sink: func(kind string, from, to time.Time, data []byte) {
				s.sent.add(kind, from, data)
				s.exporter.Enqueue(kind, from, to, data)
			},
		}),
		agent.WithQueue("profiles", s.exporter, s.exporter.ExporterStats, engine.EveryTick()),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop(t, 10*time.Second) }) // has stopped, unless the test has failed
	s.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.agent.SpanProcessor()), sdktrace.WithSampler(sampler{})).Tracer("test")
	return s
}

func (s *service) stop(t *testing.T, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := s.agent.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// burn uses the CPU under a root span until the returned function is called.
func (s *service) burn(name string) (about trace.SpanContext, end func()) {
	var stop atomic.Bool
	began, ended := make(chan trace.SpanContext), make(chan struct{})
	go func() {
		defer close(ended)
		_, span := s.tracer.Start(context.Background(), name)
		defer span.End()
		began <- span.SpanContext()
		for !stop.Load() {
		}
	}()
	return <-began, func() {
		stop.Store(true)
		<-ended
	}
}

// records returns the samples of this service, whatever their resource is.
func (s *service) records(all []peers.Record) []peers.Record {
	starts := s.sent.starts()
	return slices.DeleteFunc(all, func(r peers.Record) bool { return r.Signal != "profile" || !starts[r.Start] })
}

func kindOf(r *peers.Record) any { return r.Profile.Attributes[string(otlpprofiles.KindAttribute)] }

func rootOf(r *peers.Record) any { return r.Attributes[string(otlpprofiles.RootAttribute)] }

// arrived returns the sums of values.
func arrived(records []peers.Record) map[string]int64 {
	sums := map[string]int64{}
	for i := range records {
		r := &records[i]
		sums[fmt.Sprint(kindOf(r), " ", r.Start, " ", r.Name, " ", rootOf(r))] += r.Profile.Values[0]
	}
	return sums
}

// sampler records spans named GET /unsampled without sampling them, and samples all others.
type sampler struct{}

func (sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if p.Name == "GET /unsampled" {
		return sdktrace.SamplingResult{Decision: sdktrace.RecordOnly}
	}
	return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
}

func (sampler) Description() string { return "not GET /unsampled" }

// gate passes requests to the Collector, or answers them with 503.
type gate struct {
	url    string
	closed atomic.Bool
}

func newGate(t *testing.T, c *peers.Collector, open bool) *gate {
	t.Helper()
	g := &gate{}
	g.closed.Store(!open)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: c.OTLPHTTP})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.closed.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	g.url = server.URL + "/v1development/profiles"
	return g
}

// sent has the profiles that the agent has taken.
type sent struct {
	mu  sync.Mutex
	all []taken
}

type taken struct {
	kind  string
	start json.Number // nanoseconds, as in records of the Collector
	data  []byte
}

func (s *sent) add(kind string, from time.Time, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, taken{kind, json.Number(strconv.FormatInt(from.UnixNano(), 10)), data})
}

func (s *sent) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func (s *sent) starts() map[json.Number]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[json.Number]bool{}
	for _, x := range s.all {
		all[x.start] = true
	}
	return all
}

// values returns what [arrived] shall return for the first n profiles.
func (s *sent) values(t *testing.T, n int) map[string]int64 {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	sums := map[string]int64{}
	for _, x := range s.all[:n] {
		p, err := profile.ParseData(x.data)
		if err != nil {
			t.Fatal(err)
		}
		for _, sample := range p.Sample {
			root := any(nil)
			if labels := sample.Label[tracectx.RootLabel]; len(labels) > 0 {
				root = labels[0]
			}
			for i, v := range sample.Value {
				if v != 0 {
					sums[fmt.Sprint(x.kind, " ", x.start, " ", p.SampleType[i].Type, " ", root)] += v
				}
			}
		}
	}
	return sums
}
