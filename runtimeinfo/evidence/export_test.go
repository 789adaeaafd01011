package evidence

import (
	"testing"
	"time"
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
