// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/webhook"
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

// atCeiling starts an agent with an open incident.
func atCeiling(t *testing.T) (*agent.Agent, *lines) {
	t.Helper()
	a, log := start(t, agent.WithBaselines(&baseline.Config{Signals: []baseline.Signal{{Metric: "queue.depth", Ceiling: 100}}}))
	if err := a.Gauge("queue.depth", "{item}", "Items that wait.", func() float64 { return 150 }); err != nil {
		t.Fatal(err)
	}
	return a, log
}

// GMPULSE_ALERTMANAGER and GMPULSE_WEBHOOK receive an incident when it is opened and when the agent
// stops.
func TestIncidentsAreSent(t *testing.T) {
	var mu sync.Mutex
	got := map[string][]string{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got[r.URL.Path] = append(got[r.URL.Path], string(body))
		if value := r.Header.Get(webhook.SignatureHeader); r.URL.Path == "/hook" && (err != nil || webhook.Verify("s3cret", value, body, time.Minute) != nil) {
			t.Errorf("signature %q, %v", value, err)
		}
	}))
	defer s.Close()
	t.Setenv("GMPULSE_ALERTMANAGER", s.URL)
	t.Setenv("GMPULSE_WEBHOOK", s.URL+"/hook")
	t.Setenv("GMPULSE_WEBHOOK_SECRET", "s3cret")
	a, log := atCeiling(t)
	requests := func(path string) []string {
		mu.Lock()
		defer mu.Unlock()
		return got[path]
	}
	testutil.Eventually(t, "both receive the incident", func() bool {
		return len(requests("/hook")) == 1 && len(requests("/api/v2/alerts")) == 1
	})
	stop(t, a)
	if text := log.String(); !strings.Contains(text, " alertmanager="+s.URL+" ") || !strings.Contains(text, " webhook="+strings.TrimPrefix(s.URL, "http://")+" webhook_spool=memory\n") {
		t.Errorf("the first line does not say where incidents are sent:\n%s", text)
	}
	hook, alerts := requests("/hook"), requests("/api/v2/alerts")
	if len(hook) != 2 || !strings.Contains(hook[0], `"phase":"opened"`) || !strings.Contains(hook[1], `"phase":"closed"`) || !strings.Contains(hook[0], a.URL()+"debug/gmpulse/") {
		t.Errorf("%q", hook)
	}
	if len(alerts) != 2 || !strings.Contains(alerts[0], `"alertname":"GmpulseCeilingReached"`) {
		t.Errorf("%q\n%s", alerts, log)
	}
}

// An Alertmanager that cannot be reached is one log line and a counter, without its password.
func TestUnreachableAlertmanager(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	t.Setenv("GMPULSE_ALERTMANAGER", strings.Replace(s.URL, "://", "://me:s3cret@", 1))
	a, log := atCeiling(t)
	testutil.Eventually(t, "failures are counted", func() bool {
		for _, x := range a.Stats().Exporters {
			if x.Name == "alertmanager" && x.Errors > 2 {
				return true
			}
		}
		return false
	})
	if text := log.String(); strings.Count(text, "gmpulse: exporter fails") != 1 || strings.Contains(text, "s3cret") || !strings.Contains(text, "connection refused") {
		t.Errorf("%s", text)
	}
}
