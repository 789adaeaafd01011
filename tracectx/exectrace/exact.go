// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"maps"
	"slices"
	"sync"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// exact adds up the windows, by root-span name.
type exact struct {
	mu    sync.Mutex
	roots map[string]*Parts
}

func (x *exact) add(w *Window) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.roots == nil {
		x.roots = map[string]*Parts{}
	}
	for i := range w.Roots {
		name := w.Roots[i].Name
		if x.roots[name] == nil {
			if len(x.roots) >= maxRoots {
				name = otherRoot
			}
			if x.roots[name] == nil {
				x.roots[name] = new(Parts)
			}
		}
		x.roots[name].add(&w.Roots[i].Self)
	}
}

// Exact returns what execution traces told since [New]. The agent that the Recorder is
// given to publishes it. It costs a few microseconds.
func (r *Recorder) Exact() *runtimeinfo.ExactSpans {
	s := r.Stats()
	e := &runtimeinfo.ExactSpans{
		Read: s.Recordings, Busy: s.Busy, TooMany: s.TooMany, Unreadable: s.Unreadable, StepsBack: s.StepsBack,
		Explained: s.Slow, Missed: s.SlowMissed,
	}
	r.exact.mu.Lock()
	defer r.exact.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.exact.roots)) {
		p := r.exact.roots[name]
		e.Times = append(e.Times,
			runtimeinfo.ExactTime{Root: name, State: Running.String(), Time: p[Running]},
			runtimeinfo.ExactTime{Root: name, State: Runnable.String(), Time: p[Runnable]},
			runtimeinfo.ExactTime{Root: name, State: Syscall.String(), Time: p[Syscall]},
			runtimeinfo.ExactTime{Root: name, State: "blocked", Time: p.Blocked()},
		)
	}
	return e
}
