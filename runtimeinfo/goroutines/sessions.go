// SPDX-License-Identifier: Apache-2.0

package goroutines

// isSessions reports whether the members belong to accepted connections: there are about as many,
// about as many were accepted as members joined, since the group was first recorded and in the
// newest recordings, and the connections do not belong to other root spans.
func (t *groupTracker) isSessions(m *members, g *Group, r *relations) bool {
	now, n := t.members.accepted, len(m.observations)
	if now < 0 || n == 0 || 4*now < 3*m.count || !m.inStep(&m.observations[0], now, 0) ||
		!m.inStep(&m.observations[max(0, n-recentRecordings)], now, t.rules.minGrowth) {
		return false
	}
	own, others := r.connections(g)
	return 2*own >= m.count || 2*others < now
}

// inStep reports whether about as many connections were accepted as members joined since an
// observation, or fewer than the given number joined.
func (m *members) inStep(since *observation, accepted, few int) bool {
	joined := m.count - since.size
	return joined < few || 5*(accepted-since.accepted) >= 3*joined
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
