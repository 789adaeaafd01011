// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

type cpuAnswer struct {
	Error string  `json:"error"`
	Every float64 `json:"every_seconds"`
	Roots []struct {
		Root    string  `json:"root"`
		Seconds float64 `json:"seconds"`
	} `json:"roots"`
}

// cpuOf requests the CPU time by root span from the page of an agent.
func cpuOf(t *testing.T, a *agent.Agent) (status int, answer cpuAnswer) {
	t.Helper()
	r, err := http.Get(a.URL() + "debug/gmpulse/api/v1/cpu")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, answer
}

// GMPULSE_CPU_PROFILE takes CPU profiles, whose CPU time belongs to the root spans of the program.
func TestCPUProfileByRootSpan(t *testing.T) {
	t.Setenv("GMPULSE_CPU_PROFILE", "100ms/200ms")
	a, err := agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	tracer := trace.NewTracerProvider(trace.WithSpanProcessor(a.SpanProcessor())).Tracer("test")
	testutil.Eventually(t, "CPU time of the root span", func() bool {
		_, span := tracer.Start(t.Context(), "GET /busy")
		for range 50_000_000 { // uses the CPU
		}
		span.End()
		_, answer := cpuOf(t, a)
		if answer.Every != 0.2 {
			t.Fatalf("%+v", answer)
		}
		return len(answer.Roots) == 1 && answer.Roots[0].Root == "GET /busy" && answer.Roots[0].Seconds > 0
	})
}

func TestCPUProfileIsOffByDefault(t *testing.T) {
	for name, opts := range map[string][]agent.Option{
		"by default":            nil,
		"the variable is off":   {agent.WithProfiler(nil)},
		"a profiler without it": {agent.WithProfiler(&profiler.Config{NoCPU: true})},
	} {
		if name != "by default" {
			t.Setenv("GMPULSE_CPU_PROFILE", "1s/30s")
		}
		a, err := agent.Start(append(opts, agent.WithListen("127.0.0.1:0"), agent.WithLogger(slog.New(slog.DiscardHandler)))...)
		if err != nil {
			t.Fatal(err)
		}
		if status, answer := cpuOf(t, a); status != http.StatusNotFound || !strings.Contains(answer.Error, "GMPULSE_CPU_PROFILE") {
			t.Errorf("%s: HTTP %d: %+v", name, status, answer)
		}
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		t.Setenv("GMPULSE_CPU_PROFILE", "")
	}
}

// A malformed value is a warning that names the form; an invalid option is an error.
func TestMalformedCPUProfile(t *testing.T) {
	for _, value := range []string{"1s", "1s/", "x/30s", "1s/1500ms", "1m/2m", "1s/30s/2s", "-1s/30s"} {
		var log strings.Builder
		t.Setenv("GMPULSE_CPU_PROFILE", value)
		a, err := agent.Start(agent.WithListen("off"), agent.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "GMPULSE_CPU_PROFILE") || !strings.Contains(log.String(), "1s/30s") {
			t.Errorf("%q: log\n%s", value, log.String())
		}
	}
	t.Setenv("GMPULSE_CPU_PROFILE", "")
	if _, err := agent.Start(agent.WithListen("off"), agent.WithProfiler(&profiler.Config{For: -1})); err == nil || !strings.Contains(err.Error(), "Config.For") {
		t.Errorf("error %v", err)
	}
}
