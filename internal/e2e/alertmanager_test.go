// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/alertmanager"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// startAlertmanager runs an Alertmanager that resolves alerts without an end after a second and keeps its
// state in dir.
func startAlertmanager(t *testing.T, dir, address string, flags ...string) *process {
	t.Helper()
	file := filepath.Join(dir, "alertmanager.yml")
	write(t, file, "global: {resolve_timeout: 1s}\nroute: {receiver: none, group_by: [alertname]}\nreceivers: [{name: none}]\n")
	p := spawn(t, nil, "prometheus-alertmanager", append([]string{
		"--config.file=" + file, "--storage.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address,
	}, flags...)...)
	testutil.Eventually(t, "Alertmanager answers", func() bool {
		_, err := alerts(t, address)
		return err == nil
	})
	return p
}

type shownAlert struct {
	Labels, Annotations map[string]string
	Status              struct{ State string }
	StartsAt, EndsAt    time.Time
	Fingerprint         string
	GeneratorURL        string
}

// alerts returns the active alerts of an Alertmanager.
func alerts(t *testing.T, address string) (all []shownAlert, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/api/v2/alerts", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return all, json.NewDecoder(resp.Body).Decode(&all)
}

// exportPhase exports a snapshot with an event of an incident, or without events if phase is "".
func exportPhase(t *testing.T, x *alertmanager.Exporter, phase runtimeinfo.IncidentPhase) {
	t.Helper()
	s := exporttest.Snapshot()
	if phase != "" {
		e := exporttest.Event()
		e.Severity, e.Incident.Phase, e.Incident.Since = slog.LevelError, phase, time.Now()
		s.Events = append(s.Events, e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := x.Export(ctx, s); err != nil && !strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
}

// An incident is one alert at both Alertmanagers of a cluster. It stays while it is open, also when an
// Alertmanager is replaced by one without state, and is resolved when the incident is closed.
func TestAlertmanagerShowsIncidents(t *testing.T) {
	need(t, "prometheus-alertmanager", "apt-get install prometheus-alertmanager")
	first, second, gossip := freeAddress(t), freeAddress(t), freeAddress(t)
	p := startAlertmanager(t, t.TempDir(), first, "--cluster.listen-address="+gossip)
	startAlertmanager(t, t.TempDir(), second, "--cluster.listen-address="+freeAddress(t), "--cluster.peer="+gossip)
	x, err := alertmanager.New(alertmanager.Config{
		URLs: []string{"http://" + first, "http://" + second}, Resend: time.Second,
		PageURL: func() string { return "http://checkout:9464/debug/gmpulse/" },
	})
	if err != nil {
		t.Fatal(err)
	}
	// both waits until both show n alerts, exporting meanwhile as the agent does.
	both := func(what string, n int) (shown []shownAlert) {
		t.Helper()
		testutil.Eventually(t, what, func() bool {
			exportPhase(t, x, "")
			a, err1 := alerts(t, first)
			b, err2 := alerts(t, second)
			shown = a
			return err1 == nil && err2 == nil && len(a) == n && len(b) == n
		})
		return shown
	}
	exportPhase(t, x, runtimeinfo.IncidentOpened)
	a := both("both show the alert", 1)[0]
	if a.Labels["alertname"] != "GmpulseGoroutineLeak" || a.Labels["site"] != "main.(*pool).submit (pool.go:87)" || a.GeneratorURL != "http://checkout:9464/debug/gmpulse/" {
		t.Errorf("%+v", a)
	}
	text, err := json.MarshalIndent(a, "", "  ")
	t.Logf("%s %v", text, err)

	until := time.Now().Add(6 * time.Second) // longer than an alert lasts that is not sent again
	for time.Now().Before(until) {
		both("the alert stays", 1)
	}

	p.interrupt(t)
	startAlertmanager(t, t.TempDir(), first, "--cluster.listen-address="+gossip)
	if again := both("the alert is back after a restart", 1)[0]; again.Fingerprint != a.Fingerprint {
		t.Errorf("it is another alert: %+v, was %+v", again, a)
	}

	exportPhase(t, x, runtimeinfo.IncidentClosed)
	both("the alert is resolved", 0)
	if err := x.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
