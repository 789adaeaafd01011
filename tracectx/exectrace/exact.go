// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"maps"
	"slices"
	"sync"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// rootTotals adds up the time of root spans over all windows, by name.
type rootTotals struct {
	mu     sync.Mutex
	byName map[string]*Parts
}

func (t *rootTotals) add(w *Window) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName == nil {
		t.byName = map[string]*Parts{}
	}
	for i := range w.Roots {
		name := w.Roots[i].Name
		if t.byName[name] == nil && len(t.byName) >= maxRoots {
			name = otherRoot
		}
		if t.byName[name] == nil {
			t.byName[name] = new(Parts)
		}
		t.byName[name].add(&w.Roots[i].Self)
	}
}

// Exact returns the sums of all analyzed recordings since [New], for the metrics of
// the agent. It takes a few microseconds.
func (r *Recorder) Exact() *runtimeinfo.ExactSpans {
	s := r.Stats()
	e := &runtimeinfo.ExactSpans{
		Read: s.Recordings, Busy: s.Busy, TooMany: s.TooMany, Unreadable: s.Unreadable, StepsBack: s.StepsBack,
		Explained: s.Slow, Missed: s.SlowMissed,
	}
	r.totals.mu.Lock()
	defer r.totals.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.totals.byName)) {
		p := r.totals.byName[name]
		e.Times = append(e.Times,
			runtimeinfo.ExactTime{Root: name, State: Running.String(), Time: p.Of(Running)},
			runtimeinfo.ExactTime{Root: name, State: Runnable.String(), Time: p.Of(Runnable)},
			runtimeinfo.ExactTime{Root: name, State: Syscall.String(), Time: p.Of(Syscall)},
			runtimeinfo.ExactTime{Root: name, State: "blocked", Time: p.Blocked()},
		)
	}
	return e
}
