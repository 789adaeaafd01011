// SPDX-License-Identifier: Apache-2.0

// Package alertmanager sends incidents to Prometheus Alertmanager as alerts, by version 2 of its API. It
// writes the JSON itself, because Alertmanager's client library would add 2.5 MB to the binary and 97
// modules to the module graph:
//
//	x, err := alertmanager.New(alertmanager.Config{URLs: []string{"http://alertmanager:9093"}})
//	a, err := agent.Start(agent.WithExporter("alertmanager", x))
//
// An agent does this with GMPULSE_ALERTMANAGER. An alert has the labels alertname, service, instance,
// namespace, severity, kind, site or signal, and root_span, which are the same while its incident is
// open, except that severity and kind may worsen. The exporter sends open incidents again every minute,
// as Prometheus does. An alert is resolved when its incident is closed or the agent stops, and four
// minutes after a process that ended otherwise.
//
// # Delivery
//
// Alerts are state: after an outage an Alertmanager needs the incidents that are open then, not those
// that were opened and closed meanwhile. So the exporter has no queue and needs no package spool. It
// keeps the open incidents, sends them to each Alertmanager until that has accepted them, and tries
// again after one second, then two, up to thirty.
package alertmanager

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/onepost"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// maxAlerts limits the alerts. A process has far fewer open incidents.
	maxAlerts = 1000
	// keepResolved is how long a resolved alert is kept for an Alertmanager that does not answer.
	// Prometheus keeps it as long.
	keepResolved = 15 * time.Minute
	// resendsToEnd is the number of intervals after which an alert that is not sent again ends.
	resendsToEnd = 4
)

// Exporter sends alerts. Create one with [New]. Its methods are safe for concurrent use.
type Exporter struct {
	config Config
	client onepost.Client

	mu      sync.Mutex
	shut    bool
	alerts  map[string]*state // by identity
	of      map[string]string // identity by the ID of the incident
	version uint64            // of alerts
	peers   []*peer
}

var _ exporters.Exporter = (*Exporter)(nil)

// state is an alert, and the incidents that it stands for.
type state struct {
	alert
	incidents map[string]bool // IDs of the open ones
	resolved  time.Time       // zero while one is open
}

// New returns an Exporter, or an error that names every invalid field of c. It opens no connection.
func New(c Config) (*Exporter, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c.Resend = cmp.Or(c.Resend, defaultResend)
	if c.PageURL == nil {
		c.PageURL = func() string { return "" }
	}
	c.Labels = maps.Clone(c.Labels)
	e := &Exporter{config: c, client: onepost.Client{TLS: c.TLS}, alerts: map[string]*state{}, of: map[string]string{}}
	for _, base := range c.URLs {
		e.peers = append(e.peers, &peer{url: endpoint(base)})
	}
	return e, nil
}

// Export takes the incidents from s and sends the alerts to each Alertmanager that has not accepted
// them yet or did so a minute ago. Without open incidents it does nothing.
//
// If no Alertmanager has accepted the alerts, Export returns an error. If some have, or one has refused
// alerts as malformed, it returns an [exporters.RejectedError] without rejected records, so that the
// failure is counted and logged but the incidents are not delivered twice.
func (e *Exporter) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shut {
		return exporters.ErrShutdown
	}
	now, ignored := time.Now(), 0
	for i := range s.Events {
		if event := &s.Events[i]; event.Incident != nil && !e.add(s.Resource, event, now) {
			ignored++
		}
	}
	err := e.send(ctx, now, false)
	if ignored > 0 && err == nil {
		return &exporters.RejectedError{Events: ignored, Err: fmt.Errorf("alertmanager: %d incidents are ignored, because %d are open", ignored, maxAlerts)}
	}
	return err
}

// Shutdown sends the alerts that an Alertmanager has not accepted yet once more. The agent has closed
// all incidents before, so that these are resolved.
func (e *Exporter) Shutdown(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shut {
		return nil
	}
	e.shut = true
	return e.send(ctx, time.Now(), true)
}

// add changes the alerts by an event, and reports false if there are too many.
func (e *Exporter) add(resource []runtimeinfo.Attr, event *runtimeinfo.Event, now time.Time) bool {
	i := event.Incident
	if i.Phase == runtimeinfo.IncidentClosed {
		e.leave(i.ID, now)
		return true
	}
	labels := e.labels(resource, event)
	id := identity(labels)
	if e.of[i.ID] != id { // it is new, or its severity or kind is worse
		e.leave(i.ID, now)
	}
	a := e.alerts[id]
	if a == nil {
		if len(e.alerts) >= maxAlerts {
			return false
		}
		a = &state{alert: alert{Labels: labels, StartsAt: i.Since}, incidents: map[string]bool{}}
		e.alerts[id] = a
	}
	if !a.resolved.IsZero() {
		a.resolved, a.StartsAt = time.Time{}, i.Since
	}
	a.incidents[i.ID] = true
	a.Annotations, a.GeneratorURL = e.annotations(resource, event), e.config.PageURL()
	e.of[i.ID] = id
	e.version++
	return true
}

// leave removes an incident from its alert, and resolves the alert if it was the last one.
func (e *Exporter) leave(incident string, at time.Time) {
	a := e.alerts[e.of[incident]]
	delete(e.of, incident)
	if a == nil {
		return
	}
	delete(a.incidents, incident)
	if len(a.incidents) == 0 && a.resolved.IsZero() {
		a.resolved = at
	}
	e.version++
}

// send sends the alerts to each peer that is due, or with last to each that lacks something.
func (e *Exporter) send(ctx context.Context, now time.Time, last bool) error {
	maps.DeleteFunc(e.alerts, func(_ string, a *state) bool {
		return !a.resolved.IsZero() && now.Sub(a.resolved) > keepResolved
	})
	if len(e.alerts) == 0 {
		for _, p := range e.peers {
			p.accept(e.version, now)
		}
		return nil
	}
	due := slices.DeleteFunc(slices.Clone(e.peers), func(p *peer) bool { return !p.due(e, now, last) })
	if len(due) > 0 {
		body, err := e.encode(now)
		if err != nil {
			return fmt.Errorf("alertmanager: encode: %w", err)
		}
		var wg sync.WaitGroup
		for _, p := range due {
			wg.Go(func() { p.post(ctx, e, body, now) })
		}
		wg.Wait() // each is bounded by ctx
	}
	if !slices.ContainsFunc(e.peers, func(p *peer) bool { return p.version != e.version }) {
		maps.DeleteFunc(e.alerts, func(_ string, a *state) bool { return !a.resolved.IsZero() })
	}
	return e.failure()
}

// failure returns why peers have not accepted the alerts.
func (e *Exporter) failure() error {
	var errs []error
	accepted := false
	for _, p := range e.peers {
		if p.err != nil {
			errs = append(errs, fmt.Errorf("alertmanager: %w", p.err))
		}
		accepted = accepted || p.err == nil || p.refused
	}
	err := errors.Join(errs...)
	if err != nil && accepted {
		return &exporters.RejectedError{Err: err}
	}
	return err
}

// encode returns the body of a request.
func (e *Exporter) encode(now time.Time) ([]byte, error) {
	list := make([]alert, 0, len(e.alerts))
	for _, id := range slices.Sorted(maps.Keys(e.alerts)) {
		a := e.alerts[id].alert
		a.EndsAt = e.alerts[id].resolved
		if a.EndsAt.IsZero() {
			a.EndsAt = now.Add(resendsToEnd * e.config.Resend)
		}
		if a.StartsAt.IsZero() || a.StartsAt.After(a.EndsAt) {
			a.StartsAt = a.EndsAt // Alertmanager rejects an alert that ends before it starts
		}
		a.StartsAt, a.EndsAt = a.StartsAt.UTC(), a.EndsAt.UTC()
		list = append(list, a)
	}
	return json.Marshal(list)
}
