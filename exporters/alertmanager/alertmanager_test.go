// SPDX-License-Identifier: Apache-2.0

package alertmanager_test

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/alertmanager"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// posted is an alert as the server received it.
type posted struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	GeneratorURL        string
}

// server is an Alertmanager that keeps what it receives.
type server struct {
	*httptest.Server
	status atomic.Int32 // of answers

	mu    sync.Mutex
	posts [][]posted
	user  string
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	s.status.Store(http.StatusOK)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var alerts []posted
		if err = errors.Join(err, json.Unmarshal(body, &alerts)); err != nil || r.URL.Path != "/prefix/api/v2/alerts" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		user, password, _ := r.BasicAuth()
		s.mu.Lock()
		s.posts, s.user = append(s.posts, alerts), user+":"+password
		s.mu.Unlock()
		w.WriteHeader(int(s.status.Load()))
		_, _ = io.WriteString(w, `"why not"`)
	}))
	t.Cleanup(s.Close)
	return s
}

// take returns the requests since the last call.
func (s *server) take() [][]posted {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.posts
	s.posts = nil
	return p
}

func newExporter(t *testing.T, c alertmanager.Config, servers ...*server) *alertmanager.Exporter {
	t.Helper()
	for _, s := range servers {
		c.URLs = append(c.URLs, strings.Replace(s.URL, "://", "://me:s3cret@", 1)+"/prefix/")
	}
	c.PageURL = func() string { return "http://checkout:9464/debug/gmpulse/" }
	e, err := alertmanager.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestConformance(t *testing.T) {
	exporttest.Run(t, func(t *testing.T) exporters.Exporter {
		t.Helper()
		return newExporter(t, alertmanager.Config{}, newServer(t))
	})
}

// snapshot returns a snapshot with one event for each incident.
func snapshot(incidents ...runtimeinfo.Incident) *runtimeinfo.Snapshot {
	s := exporttest.Snapshot()
	for i := range incidents {
		e := exporttest.Event()
		e.Incident = &incidents[i]
		if incidents[i].Kind == "leak" {
			e.Severity = slog.LevelError
		}
		s.Events = append(s.Events, e)
	}
	return s
}

func incident(id string, phase runtimeinfo.IncidentPhase, kind string) runtimeinfo.Incident {
	i := *exporttest.Event().Incident
	i.ID, i.Phase, i.Kind = id, phase, kind
	return i
}

const (
	opened   = runtimeinfo.IncidentOpened
	worsened = runtimeinfo.IncidentWorsened
	closed   = runtimeinfo.IncidentClosed
)

func TestAlertHasLabelsAndAnnotations(t *testing.T) {
	s := newServer(t)
	e := newExporter(t, alertmanager.Config{Labels: map[string]string{"team": "shop", "namespace": ""}}, s)
	if err := e.Export(t.Context(), snapshot(incident("goroutines-1", opened, "leak"))); err != nil {
		t.Fatal(err)
	}
	posts := s.take()
	if len(posts) != 1 || len(posts[0]) != 1 || s.user != "me:s3cret" {
		t.Fatalf("%+v by %s", posts, s.user)
	}
	a := posts[0][0]
	got, err := json.Marshal([]map[string]string{a.Labels, a.Annotations})
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"alertname":"GmpulseGoroutineLeak","instance":"checkout-7d9f8b6c5-x2x9k","kind":"leak","root_span":"POST /checkout","service":"checkout","severity":"critical","site":"main.(*pool).submit (pool.go:87)","team":"shop"},` +
		`{"description":"Goroutines grew from 42 to 1042 within 30 s, most of them blocked sending on a channel.","evidence":"none of the 1000 that existed at 03:02:05 had ended by 03:04:05","hint":"nothing receives from the channel","incident":"goroutines-1","page":"http://checkout:9464/debug/gmpulse/","runbook_url":"https://github.com/gmpulse/gmpulse/blob/main/docs/alerts.md","service_version":"1.4.2","summary":"goroutine leak: 1042 goroutines at main.(*pool).submit (pool.go:87), created under POST /checkout","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}]`
	if string(got) != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if lasts := time.Until(a.EndsAt); lasts < 3*time.Minute || lasts > 4*time.Minute || a.GeneratorURL != "http://checkout:9464/debug/gmpulse/" || a.StartsAt.Year() != 2026 {
		t.Errorf("%+v", a)
	}
}

// exports exports incidents and returns the alerts of the only request, as "name severity" and a + for
// an alert that is resolved; "" stands for no request.
func exports(t *testing.T, e *alertmanager.Exporter, s *server, incidents ...runtimeinfo.Incident) string {
	t.Helper()
	if err := e.Export(t.Context(), snapshot(incidents...)); err != nil {
		t.Error(err)
	}
	posts := s.take()
	if len(posts) == 0 {
		return ""
	}
	var all []string
	for _, a := range posts[len(posts)-1] {
		text := a.Labels["alertname"] + " " + a.Labels["severity"]
		if !a.EndsAt.After(time.Now()) {
			text += "+"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// An alert is sent when it changes and resolved once. Two incidents with equal labels are one alert.
func TestAlertFollowsItsIncidents(t *testing.T) {
	s := newServer(t)
	e := newExporter(t, alertmanager.Config{}, s)
	for i, step := range []struct {
		incidents []runtimeinfo.Incident
		want      string
	}{
		{nil, ""},
		{[]runtimeinfo.Incident{incident("a", opened, "stuck")}, "GmpulseRequestsStuck warning"},
		{nil, ""},
		{[]runtimeinfo.Incident{incident("a", opened, "stuck")}, "GmpulseRequestsStuck warning"}, // an event that is delivered again
		{[]runtimeinfo.Incident{incident("b", opened, "stuck")}, "GmpulseRequestsStuck warning"},
		{[]runtimeinfo.Incident{incident("b", closed, "stuck")}, "GmpulseRequestsStuck warning"},
		{[]runtimeinfo.Incident{incident("a", worsened, "leak")}, "GmpulseGoroutineLeak critical, GmpulseRequestsStuck warning+"},
		{[]runtimeinfo.Incident{incident("a", closed, "leak")}, "GmpulseGoroutineLeak critical+"},
		{nil, ""},
		{[]runtimeinfo.Incident{incident("c", closed, "leak")}, ""}, // of which the opening is unknown
		{[]runtimeinfo.Incident{incident("d", opened, "leak"), incident("d", closed, "leak")}, "GmpulseGoroutineLeak critical+"},
	} {
		if got := exports(t, e, s, step.incidents...); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
}

func TestOpenIncidentsAreSentAgain(t *testing.T) {
	s := newServer(t)
	e := newExporter(t, alertmanager.Config{Resend: time.Second}, s)
	exports(t, e, s, incident("a", opened, "leak"))
	if got := exports(t, e, s); got != "" {
		t.Errorf("sent again at once: %s", got)
	}
	deadline := time.Now().Add(20 * time.Second)
	for got := ""; got != "GmpulseGoroutineLeak critical"; got = exports(t, e, s) {
		if time.Now().After(deadline) {
			t.Fatal("not sent again")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// While one of two does not answer, the other one receives everything, and the failure is no loss. The
// first one receives the state as it is when it answers again.
func TestOneOfTwoIsDown(t *testing.T) {
	up, down := newServer(t), newServer(t)
	down.status.Store(http.StatusServiceUnavailable)
	e := newExporter(t, alertmanager.Config{}, up, down)
	err := e.Export(t.Context(), snapshot(incident("a", opened, "leak"), incident("b", opened, "stuck")))
	var rejected *exporters.RejectedError
	if !errors.As(err, &rejected) || rejected.Events != 0 || rejected.Snapshot || !strings.Contains(err.Error(), `503 Service Unavailable: "why not"`) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
	_ = e.Export(t.Context(), snapshot(incident("a", closed, "leak")))
	if n := len(down.take()); n != 1 {
		t.Errorf("%d requests to a server that has just failed, want 1", n)
	}
	if posts := up.take(); len(posts) != 2 || len(posts[1]) != 2 {
		t.Errorf("%+v", posts)
	}
	down.status.Store(http.StatusOK)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if posts := down.take(); len(posts) != 1 || len(posts[0]) != 2 {
		t.Errorf("%+v", posts)
	}
	if posts := up.take(); len(posts) != 0 {
		t.Errorf("%+v", posts)
	}
}

// An error without any success keeps the events with the agent; malformed alerts are not sent again.
func TestFailures(t *testing.T) {
	s := newServer(t)
	e := newExporter(t, alertmanager.Config{}, s)
	s.status.Store(http.StatusInternalServerError)
	err := e.Export(t.Context(), snapshot(incident("a", opened, "leak")))
	if _, ok := errors.AsType[*exporters.RejectedError](err); err == nil || ok {
		t.Errorf("%v", err)
	}
	s = newServer(t)
	e = newExporter(t, alertmanager.Config{}, s)
	s.status.Store(http.StatusBadRequest)
	err = e.Export(t.Context(), snapshot(incident("a", opened, "leak")))
	if _, ok := errors.AsType[*exporters.RejectedError](err); !ok {
		t.Errorf("%v", err)
	}
	if err := e.Export(t.Context(), snapshot()); err == nil || len(s.take()) != 1 {
		t.Errorf("%v", err)
	}
}

func TestNewNamesInvalidFields(t *testing.T) {
	_, err := alertmanager.New(alertmanager.Config{
		URLs: []string{"am:9093", "http://", "ftp://me:s3cret@am", "http://me:s3cret@am:%zz", "http://am?x=y"}, Resend: time.Millisecond, Labels: map[string]string{"a-b": "c"},
	})
	for _, want := range []string{`"am:9093" is not`, `"http://" is not`, `"ftp://xxxxx@am" is not`, "%zz", "Config.Resend is 1ms", `"a-b" is not a name`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
	if _, err := alertmanager.New(alertmanager.Config{}); err == nil || !strings.Contains(err.Error(), "Config.URLs is empty") {
		t.Errorf("%v", err)
	}
}
