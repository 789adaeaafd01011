// SPDX-License-Identifier: Apache-2.0

package exectrace

import "sync"

// rootTotals adds up the time of root spans over all windows, by name.
type rootTotals struct {
	mu     sync.Mutex
	byName roots
}

func (t *rootTotals) add(w *Window) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName == nil {
		t.byName = roots{}
	}
	for i := range w.Roots {
		t.byName.of(w.Roots[i].Name).Self.add(&w.Roots[i].Self)
	}
}
