// SPDX-License-Identifier: Apache-2.0

package exectrace

import "sync"

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
