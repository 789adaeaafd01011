// SPDX-License-Identifier: Apache-2.0

package profiler

import (
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// lead is how long before it is reported an incident may have begun.
	lead = 5 * time.Minute
	// healthyTime is the time without incidents with which an incident is compared.
	healthyTime  = time.Hour
	maxIncidents = 256
)

// incident is an incident that is or was open.
type incident struct {
	id             string
	opened, closed time.Time // closed is zero while it is open
}

// incidents are the last incidents of the process.
type incidents struct {
	list []incident // by opened
}

// observe adds the incidents of events. It reports whether one was opened.
func (x *incidents) observe(events []runtimeinfo.Event) (opened bool) {
	for i := range events {
		e := &events[i]
		if e.Incident == nil {
			continue
		}
		at := slices.IndexFunc(x.list, func(i incident) bool { return i.id == e.Incident.ID })
		switch {
		case e.Incident.Phase == runtimeinfo.IncidentClosed && at >= 0:
			x.list[at].closed = e.Time
		case e.Incident.Phase != runtimeinfo.IncidentClosed && at < 0:
			x.add(incident{id: e.Incident.ID, opened: e.Time})
			opened = true
		}
	}
	return opened
}

func (x *incidents) add(i incident) {
	if len(x.list) == maxIncidents {
		x.list = slices.Delete(x.list, 0, 1)
	}
	x.list = append(x.list, i)
}

// healthy reports whether no incident was open at t, nor was opened within lead after it.
func (x *incidents) healthy(t time.Time, lead time.Duration) bool {
	for i := range x.list {
		n := &x.list[i]
		if !t.Before(n.opened.Add(-lead)) && (n.closed.IsZero() || t.Before(n.closed)) {
			return false
		}
	}
	return true
}

// Healthy returns the profiles of a kind that stand for the last healthy time before t: of CPU, those
// of the last hour in which no incident was open, oldest first; of the others the last one. A profile
// less than five minutes before the opening of an incident may show its beginning. Healthy returns it
// only if there is no other.
func (p *Profiler) Healthy(k Kind, t time.Time) []Profile {
	all := p.Profiles(k, time.Time{}, t)
	if len(all) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, lead := range []time.Duration{lead, 0} {
		healthy := slices.DeleteFunc(slices.Clone(all), func(x Profile) bool { return !p.incidents.healthy(x.To, lead) })
		if n := len(healthy); n > 0 && k == CPU {
			end := healthy[n-1].To
			return slices.DeleteFunc(healthy, func(x Profile) bool { return end.Sub(x.To) > healthyTime })
		} else if n > 0 {
			return healthy[n-1:]
		}
	}
	return nil
}
