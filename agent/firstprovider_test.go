// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
)

// firstProviderChild is set in the process that sets its first provider.
const firstProviderChild = "AGENT_TEST_FIRST_PROVIDER"

// The agent sees a span that begins immediately after the application has set its first
// provider, before the next tick.
func TestFirstProvider(t *testing.T) {
	if os.Getenv(firstProviderChild) != "" {
		t.Skip("the child process runs another test")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, wrap := range []string{"plain", "wrapped"} {
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFirstProviderInItsOwnProcess$", "-test.v") //nolint:gosec // the test binary
		cmd.Env = append(os.Environ(), firstProviderChild+"="+wrap)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", wrap, err, out)
		}
	}
}

func TestFirstProviderInItsOwnProcess(t *testing.T) {
	how := os.Getenv(firstProviderChild)
	if how == "" {
		t.Skip("run by TestFirstProvider, because a process sets its first provider once")
	}
	early := otel.Tracer("early")
	stopped, _ := start(t, agent.WithInterval(time.Hour)) // a stopped agent must not receive the provider
	stop(t, stopped)
	a, _ := start(t, agent.WithInterval(time.Hour))
	tp := sdktrace.NewTracerProvider()
	if how == "wrapped" {
		otel.SetTracerProvider(a.WrapTracerProvider(tp))
	} else {
		otel.SetTracerProvider(tp)
	}
	for range 2 {
		_, span := early.Start(t.Context(), "GET /early")
		span.End()
		_, span = otel.Tracer("late").Start(t.Context(), "GET /late")
		span.End()
	}
	if s := stopAndCount(t, a); s["GET /early"] != 2 || s["GET /late"] != 2 {
		t.Errorf("ended: %v", s)
	}
}

// stopAndCount stops an agent and returns how many spans of each name have ended.
func stopAndCount(t *testing.T, a *agent.Agent) map[string]uint64 {
	t.Helper()
	stop(t, a)
	ended := map[string]uint64{}
	for _, g := range a.Snapshot().SpanGroups {
		ended[g.Name] = g.Ended
	}
	return ended
}
