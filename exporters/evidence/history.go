// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	historyLength = 15 * time.Minute
	historyStep   = time.Second
	historySize   = int(historyLength / historyStep)
)

// history holds the snapshots of the last 15 minutes. If there are more than one per second, it
// drops those without events in between.
type history struct {
	ring [historySize]*runtimeinfo.Snapshot
	n    int // number of snapshots added
}

func (h *history) add(s *runtimeinfo.Snapshot) {
	if last := h.last(); last != nil && len(last.Events) == 0 {
		const jitter = historyStep / 20
		if h.n > 1 && last.Time.Sub(h.at(h.n-2).Time) < historyStep-jitter {
			h.n-- // s replaces last
		}
	}
	h.ring[h.n%historySize] = s
	h.n++
}

func (h *history) at(i int) *runtimeinfo.Snapshot { return h.ring[i%historySize] }

func (h *history) last() *runtimeinfo.Snapshot {
	if h.n == 0 {
		return nil
	}
	return h.at(h.n - 1)
}

// list returns the snapshots of the last 15 minutes, oldest first.
func (h *history) list() (all []*runtimeinfo.Snapshot) {
	for i := max(0, h.n-historySize); i < h.n; i++ {
		if s := h.at(i); h.last().Time.Sub(s.Time) <= historyLength {
			all = append(all, s)
		}
	}
	return all
}
