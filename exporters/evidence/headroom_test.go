// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/evidence"
)

// If memory is short, no bundle is created. This is counted and logged and does not count against
// the limit per hour.
func TestNoBundleIfMemoryIsShort(t *testing.T) {
	var log bytes.Buffer
	s := newStore(t, evidence.Config{PerHour: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.SetFreeMemory(1 << 20)
	if _, err := s.Capture(t.Context(), "test"); err == nil || !strings.Contains(err.Error(), "memory is short") {
		t.Errorf("Capture: %v", err)
	}
	next := snapshots()
	if err := s.Export(t.Context(), next(leakEvent("checkout.go:1", 100))); err != nil {
		t.Error(err)
	}
	s.WaitIdle(t)
	if c := s.Stats(); c.Refused != 2 || c.Made+c.Skipped+c.Failed != 0 {
		t.Errorf("%+v", c)
	}
	if !strings.Contains(log.String(), "memory is short") {
		t.Errorf("log:\n%s", log.String())
	}
	s.SetFreeMemory(1 << 40)
	if err := s.Export(t.Context(), next(leakEvent("checkout.go:1", 100))); err != nil {
		t.Error(err)
	}
	s.WaitIdle(t)
	if c := s.Stats(); c.Made != 1 {
		t.Errorf("with enough memory: %+v", c)
	}
}

// A bundle lacks the profiles that need too much memory for the number of goroutines. This is
// counted, logged and recorded in the manifest.
func TestBundleSkipsFilesIfMemoryIsShort(t *testing.T) {
	var log bytes.Buffer
	s := newStore(t, evidence.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.SetFreeMemory(65 << 20)
	release := make(chan struct{})
	for range 60_000 {
		go func() { <-release }()
	}
	id, err := s.Capture(t.Context(), "test")
	close(release)
	if err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(s, id+"/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var m evidence.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	skipped := map[string]string{}
	for _, x := range m.Skipped {
		skipped[x.What] = x.Why
	}
	if !strings.Contains(skipped["goroutine.pb.gz"], "memory is short") || !strings.Contains(skipped["goroutineleak.pb.gz"], "memory is short") {
		t.Errorf("skipped %v", skipped)
	}
	if c := s.Stats(); c.Refused != 2 || c.Made != 1 {
		t.Errorf("%+v", c)
	}
	if n := strings.Count(log.String(), "a file of a bundle of evidence was not created"); n != 2 {
		t.Errorf("log:\n%s", log.String())
	}
}

// A capture keeps the mutex profile fraction that the application sets meanwhile. If it sets none,
// mutex profiling is disabled afterwards.
func TestCaptureKeepsTheMutexProfileFraction(t *testing.T) {
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(-1))
	for _, fraction := range []int{0, 1, 5, 10, 100} {
		runtime.SetMutexProfileFraction(0)
		s := newStore(t, evidence.Config{ProfileFor: 200 * time.Millisecond})
		done := make(chan error)
		go func() {
			_, err := s.Capture(t.Context(), "test")
			done <- err
		}()
		for runtime.SetMutexProfileFraction(-1) == 0 {
			time.Sleep(time.Millisecond)
		}
		if fraction > 0 {
			runtime.SetMutexProfileFraction(fraction)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := runtime.SetMutexProfileFraction(-1); got != fraction {
			t.Errorf("the application set %d and has %d", fraction, got)
		}
	}
}
