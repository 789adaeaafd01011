// SPDX-License-Identifier: Apache-2.0

package page

import (
	"sync"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// keeper is what is kept beside the numbers.
type keeper struct {
	mu     sync.Mutex
	spans  *spanLog
	events *eventLog
	groups *groupLog
	spells *spellLog
}

func newKeeper() *keeper {
	return &keeper{spans: newSpanLog(), events: new(eventLog), groups: newGroupLog(), spells: new(spellLog)}
}

// add takes a snapshot; seq is the newest row's, and row tells whether it is
// that of this snapshot. What came without a row goes with the next.
func (k *keeper) add(ms int64, seq uint64, s *runtimeinfo.Snapshot, r *goroutines.Report, row bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !row {
		seq++
	}
	k.events.add(s, seq)
	k.groups.add(r)
	if row {
		k.spans.add(ms, s.Spans)
		k.spells.add(ms, s.Bands, r.Verdicts)
	}
}
