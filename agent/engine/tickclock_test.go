// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"
)

func TestTickClock(t *testing.T) {
	origin := time.Now()
	m := tickClock{origin: origin, interval: time.Second}
	for _, c := range []struct {
		at       time.Duration
		lateness time.Duration
		missed   uint64
	}{
		{1 * time.Second, 0, 0},
		{2*time.Second + 30*time.Millisecond, 30 * time.Millisecond, 0},
		{3 * time.Second, 0, 0},
		{6*time.Second + 500*time.Millisecond, 2500 * time.Millisecond, 2}, // the ticks at 4 s, and at 5 and 6 s
		{7 * time.Second, 0, 0},
		{7*time.Second + 999*time.Millisecond, 0, 0}, // slightly early
		{9 * time.Second, 0, 0},
	} {
		lateness, missed := m.wake(origin.Add(c.at))
		if lateness != c.lateness || missed != c.missed {
			t.Errorf("at %v: late by %v, missed %d; want %v and %d", c.at, lateness, missed, c.lateness, c.missed)
		}
	}
}
