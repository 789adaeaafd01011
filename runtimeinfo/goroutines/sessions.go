// SPDX-License-Identifier: Apache-2.0

package goroutines

import "time"

// acceptedCount is the number of accepted connections at a recording.
type acceptedCount struct {
	at time.Duration
	n  int
}

// isSessions reports whether the members belong to accepted connections: there are about as many,
// about as many were accepted as members joined, since the group was first recorded and in the
// newest recordings, and the connections do not belong to other root spans.
func (t *groupTracker) isSessions(m *members, g *Group, r *relations) bool {
	if !t.acceptedKnown() || len(m.observations) == 0 {
		return false
	}
	now := t.accepted[len(t.accepted)-1].n
	if 4*now < 3*m.count || !t.inStep(m, 0, 0) || !t.inStep(m, max(0, len(m.observations)-recentRecordings), t.rules.minGrowth) {
		return false
	}
	own, others := r.connections(g)
	return 2*own >= m.count || 2*others < now
}

// inStep reports whether about as many connections were accepted as members joined since an
// observation, or fewer than the given number joined.
func (t *groupTracker) inStep(m *members, since, few int) bool {
	joined := m.count - m.observations[since].size
	now, first := t.accepted[len(t.accepted)-1].n, t.accepted[0].n
	for _, a := range t.accepted {
		if a.at <= m.observations[since].at {
			first = a.n
		}
	}
	return joined < few || 5*(now-first) >= 3*joined
}

// acceptedKnown reports whether the number of accepted connections is known.
func (t *groupTracker) acceptedKnown() bool {
	n := len(t.accepted)
	return n > 0 && t.accepted[n-1].n >= 0
}

// connections returns the number of goroutines that wait for a connection and that were created
// under a root span of g, and of those created under other root spans. Goroutines without a
// label do not count. If g has none, all are its own.
func (f *relations) connections(g *Group) (own, others int) {
	roots := map[string]bool{}
	for _, o := range g.Origins {
		roots[o.Root] = true
	}
	for root, n := range f.io {
		switch {
		case roots[root] || !g.labelled():
			own += n
		case root != "":
			others += n
		}
	}
	return own, others
}
