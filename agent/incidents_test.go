// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

// An incident has one line when it is opened and one when the agent stops, unless that is switched off
// or another exporter logs it.
func TestIncidentsAreLoggedOnce(t *testing.T) {
	other := slog.New(slog.DiscardHandler)
	for name, test := range map[string]struct {
		env  string
		opts []agent.Option
		want bool
	}{
		"default":                      {want: true},
		"off by variable":              {env: "off"},
		"off by option":                {env: "on", opts: []agent.Option{agent.WithLogEvents(false)}},
		"Log logs them":                {opts: []agent.Option{agent.WithExporter("log", exporters.Log(other))}},
		"LogIncidents logs them":       {opts: []agent.Option{agent.WithExporter("log", exporters.LogIncidents(other, nil))}},
		"Log logs them, but wanted":    {opts: []agent.Option{agent.WithExporter("log", exporters.Log(other)), agent.WithLogEvents(true)}, want: true},
		"with an address for the page": {opts: []agent.Option{agent.WithPageURL("https://gmpulse.example/checkout/")}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GMPULSE_LOG_EVENTS", test.env)
			a, log := start(t, append(test.opts, agent.WithBaselines(&baseline.Config{
				Signals: []baseline.Signal{{Metric: "queue.depth", Ceiling: 100}},
			}))...)
			if err := a.Gauge("queue.depth", "{item}", "Items that wait.", func() float64 { return 150 }); err != nil {
				t.Fatal(err)
			}
			testutil.Eventually(t, "the agent has seen the incident", func() bool { return len(a.Anomalies()) > 0 })
			stop(t, a)
			for _, phase := range []string{"opened", "closed"} {
				if got := strings.Count(log.String(), `msg="gmpulse: ceiling reached `+phase+`"`); (got == 1) != test.want || got > 1 {
					t.Errorf("%d lines %s, want %v\n%s", got, phase, test.want, log)
				}
			}
			page := a.URL() + "debug/gmpulse/"
			if strings.HasPrefix(name, "with an address") {
				page = "https://gmpulse.example/checkout/"
			}
			if test.want && !strings.Contains(log.String(), "signal=queue.depth value=150 ") || test.want && !strings.Contains(log.String(), " page="+page+"\n") {
				t.Errorf("the line lacks the signal or %s:\n%s", page, log)
			}
		})
	}
}
