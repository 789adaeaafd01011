// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/headroom"
)

// WaitHealthy waits for the profile of a time when nothing was wrong.
func (s *Store) WaitHealthy(t *testing.T) {
	t.Helper()
	s.waitFor(t, func() bool { return s.healthy.last != nil })
}

// WaitIdle waits for the capture that is being made.
func (s *Store) WaitIdle(t *testing.T) {
	t.Helper()
	s.waitFor(t, func() bool { return !s.busy })
}

func (s *Store) waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		done := ok()
		s.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("not so after 20 s")
		}
	}
}

// Room has the store believe that so many bytes of memory are left.
func (s *Store) Room(bytes int64) {
	s.fits = func(need int64) error {
		if need <= bytes {
			return nil
		}
		return headroom.ErrShort
	}
}
