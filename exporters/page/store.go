// SPDX-License-Identifier: Apache-2.0

package page

import (
	"sync"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// store keeps what is not a number: spans, events, groups of goroutines and episodes.
// Its fields are guarded by mu.
type store struct {
	mu       sync.Mutex
	spans    spanLog
	events   eventLog
	groups   groupLog
	episodes episodeLog
}

func newStore() *store { return &store{spans: newSpanLog(), groups: newGroupLog()} }

// add adds a snapshot and a report. seq is the number of the newest row; hasRow
// reports whether it is the row of this snapshot. Events of a snapshot without a row
// are sent with the next row.
func (st *store) add(ms int64, seq uint64, s *runtimeinfo.Snapshot, r *goroutines.Report, hasRow bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !hasRow {
		seq++
	}
	st.events.add(s, seq)
	st.groups.add(r)
	if hasRow {
		st.spans.add(ms, s.Spans)
		st.episodes.add(ms, s.Bands, r.Verdicts)
	}
}

// where returns copies of the elements of all that match.
func where[T any](all []T, match func(*T) bool) []T {
	out := []T{}
	for i := range all {
		if match(&all[i]) {
			out = append(out, all[i])
		}
	}
	return out
}
