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

// history has the snapshots of the last 15 minutes, oldest first. If there are more than one per
// second, it drops those without events in between.
type history []*runtimeinfo.Snapshot

func (h *history) add(s *runtimeinfo.Snapshot) {
	all := *h
	if n := len(all); n > 1 && len(all[n-1].Events) == 0 {
		const jitter = historyStep / 20
		if all[n-1].Time.Sub(all[n-2].Time) < historyStep-jitter {
			all = all[:n-1] // s replaces the last one
		}
	}
	all = append(all, s)
	for len(all) > historySize || s.Time.Sub(all[0].Time) > historyLength {
		all[0], all = nil, all[1:]
	}
	*h = all
}
