// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Result is what a program's process writes when it ends.
type Result struct {
	Name       string
	Seconds    float64
	Requests   int64
	Events     []Event
	Standing   []Standing // what stood at any survey, in the order in which it was first seen
	Final      []Standing // what stood at the end
	Truth      []Group    // goroutines at the end
	Peak       int        // most goroutines at a time
	Goroutines int        // at the end
	CPU        float64    // seconds
	Ticks      uint64     // of the agent
	Missed     uint64
}

// Event is an event of the agent.
type Event struct {
	At       float64 // seconds since the start
	Name     string
	Severity string
	Alarm    bool // slog.LevelWarn or higher
	Message  string
	Attrs    map[string]string
}

// Standing is a verdict that the agent stood by.
type Standing struct {
	Kind, Site, Entry, Root string
	Count                   int // the most
	From, To                float64
	Evidence, Hint          string // the last
}

// recorder is an exporter that keeps the events.
type recorder struct {
	start  time.Time
	mu     sync.Mutex
	events []Event
}

func (r *recorder) export(_ context.Context, s *runtimeinfo.Snapshot) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range s.Events {
		row := Event{e.Time.Sub(r.start).Seconds(), e.Name, e.Severity.String(), e.Severity >= slog.LevelWarn, e.Message, map[string]string{}}
		for _, a := range e.Attrs {
			row.Attrs[a.Key] = a.Value.String()
		}
		r.events = append(r.events, row)
	}
	return nil
}

func (r *recorder) all() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}

// standing notes the verdicts that stand.
type standing struct {
	all  []Standing
	seen map[string]int
}

func (s *standing) note(a *agent.Agent, at float64) (now []Standing) {
	if s.seen == nil {
		s.seen = map[string]int{}
	}
	report := a.Goroutines()
	for i := range report.Verdicts {
		v := &report.Verdicts[i]
		row := Standing{Kind: string(v.Kind), Site: v.Key.Site.String(), Entry: v.Key.Entry, Count: v.Count, From: at, To: at, Evidence: v.Evidence, Hint: v.Hint}
		if v.Key.Site.Function != "" {
			row.Site = v.Key.Site.Function + " " + row.Site
		}
		if len(v.Roots) > 0 {
			row.Root = v.Roots[0].Name
		}
		now = append(now, row)
		id := row.Kind + " " + v.Key.String()
		j, ok := s.seen[id]
		if !ok {
			s.seen[id] = len(s.all)
			s.all = append(s.all, row)
			continue
		}
		old := &s.all[j]
		row.From, row.Count = old.From, max(row.Count, old.Count)
		*old = row
	}
	return now
}

// Decode reads a result.
func Decode(b []byte) (r Result, err error) {
	err = json.Unmarshal(b, &r)
	return r, err
}
