// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
)

// pagePath is the path of the live page.
const pagePath = "/debug/gmpulse/"

// pages are the handlers of exporters.
type pages struct {
	metrics, live http.Handler
}

// newHandler returns the handler of all routes of the agent.
func newHandler(a *Agent, p pages) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", p.metrics)
	mux.Handle(pagePath, p.live)
	mux.HandleFunc("GET /healthz", a.serveHealth)
	mux.HandleFunc("GET /{$}", a.serveIndex)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// health is the response of /healthz.
type health struct {
	Status    string           `json:"status"` // "starting", "ok", "stalled", "stopped" or "disabled"
	Service   string           `json:"service,omitempty"`
	Interval  float64          `json:"interval_seconds,omitempty"`
	Age       *float64         `json:"last_sample_age_seconds,omitempty"`
	Ticks     uint64           `json:"ticks"`
	Missed    uint64           `json:"ticks_missed"`
	Verdicts  []string         `json:"goroutine_verdicts,omitempty"` // worst first
	Exporters []exporterHealth `json:"exporters,omitempty"`
}

type exporterHealth struct {
	Name        string          `json:"name"`
	State       exporters.State `json:"state"`
	Interval    float64         `json:"interval_seconds"`
	LastSuccess time.Time       `json:"last_success,omitzero"`
	LastError   string          `json:"last_error,omitempty"`
	Snapshots   accountHealth   `json:"snapshots"`
	Events      accountHealth   `json:"events"`
	Spool       *spoolHealth    `json:"spool,omitempty"`
}

type spoolHealth struct {
	Bytes     int64   `json:"bytes"`
	OldestAge float64 `json:"oldest_age_seconds"`
	OnDisk    bool    `json:"on_disk"`
	DiskError string  `json:"disk_error,omitempty"`
}

type accountHealth struct {
	Accepted  uint64            `json:"accepted"`
	Recovered uint64            `json:"recovered,omitempty"` // part of accepted: from an earlier process
	Delivered uint64            `json:"delivered"`
	Pending   uint64            `json:"pending"`
	Dropped   map[string]uint64 `json:"dropped,omitempty"`
}

// serveHealth answers 503 only if the engine has stalled. Exporters that fail do not change
// the status, because a restart of the service does not help their backend. Neither does Stop,
// because the service may continue without the agent.
func (a *Agent) serveHealth(w http.ResponseWriter, _ *http.Request) {
	h, code := a.health(time.Now())
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(h) // an error means that the client has disconnected
}

func (a *Agent) health(now time.Time) (health, int) {
	if a.engine == nil {
		return health{Status: "disabled"}, http.StatusOK
	}
	s := a.engine.Stats()
	h := health{
		Status: "ok", Service: a.service, Interval: s.Interval.Seconds(),
		Ticks: s.Ticks, Missed: s.TicksMissed, Exporters: exportersHealth(&s),
	}
	for _, v := range a.Goroutines().Verdicts {
		h.Verdicts = append(h.Verdicts, v.String())
	}
	if s.LastTick.IsZero() {
		h.Status = "starting"
		return h, http.StatusOK
	}
	age := max(0, now.Sub(s.LastTick).Seconds())
	h.Age = &age
	switch {
	case a.stopping.Load():
		h.Status = "stopped"
	case s.Stalled(now):
		h.Status = "stalled"
		return h, http.StatusServiceUnavailable
	}
	return h, http.StatusOK
}

func exportersHealth(s *engine.Stats) []exporterHealth {
	out := make([]exporterHealth, len(s.Exporters))
	for i := range s.Exporters {
		e := &s.Exporters[i]
		out[i] = exporterHealth{
			Name: e.Name, State: e.State, Interval: e.Interval.Seconds(), LastSuccess: e.LastSuccess, LastError: e.LastError,
			Snapshots: accountOf(&e.Snapshots), Events: accountOf(&e.Events),
		}
		if q := e.Spool; q != nil {
			out[i].Spool = &spoolHealth{Bytes: q.Bytes, OldestAge: q.OldestAge.Seconds(), OnDisk: q.OnDisk, DiskError: q.DiskError}
		}
	}
	return out
}

func accountOf(a *exporters.Account) accountHealth {
	h := accountHealth{Accepted: a.Accepted, Recovered: a.Recovered, Delivered: a.Delivered, Pending: a.Pending, Dropped: map[string]uint64{}}
	for _, r := range exporters.DropReasons() {
		if n := a.Dropped(r); n > 0 {
			h.Dropped[r.String()] = n
		}
	}
	return h
}

// indexPage has relative links, so that it works under any prefix. It is a format string,
// because text/template makes the linker keep every exported method of the program.
const indexPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gmpulse — %[1]s</title>
<h1>gmpulse — %[1]s</h1>
<p>%[2]s, %[3]d samples, one every %[4]v s</p>
<p>%[5]s</p>
<ul>
<li><a href="debug/gmpulse/">the live page</a>
<li><a href="metrics">metrics</a> for Prometheus
<li><a href="healthz">healthz</a>: the state of the agent and its exporters
</ul>
</html>
`

func (a *Agent) serveIndex(w http.ResponseWriter, _ *http.Request) {
	h, _ := a.health(time.Now())
	verdict := "no verdict on any group of goroutines"
	if len(h.Verdicts) > 0 {
		verdict = h.Verdicts[0]
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	_, _ = fmt.Fprintf(w, indexPage, html.EscapeString(h.Service), h.Status, h.Ticks, h.Interval, html.EscapeString(verdict)) // an error means that the client has disconnected
}
