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

// With too little memory left there is no bundle, asked for or not: it is counted and
// logged, and does not use up the bundles of the hour.
func TestNoBundleWithoutHeadroom(t *testing.T) {
	var log bytes.Buffer
	s := newStore(t, evidence.Config{PerHour: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.Room(1 << 20)
	if _, err := s.Capture(t.Context(), "test"); err == nil || !strings.Contains(err.Error(), "memory is short") {
		t.Errorf("Capture: %v", err)
	}
	take := snapshots()
	if err := s.Export(t.Context(), take(leakEvent("shop.go:1", 100))); err != nil {
		t.Error(err)
	}
	s.WaitIdle(t)
	if c := s.Stats(); c.Refused != 2 || c.Made+c.Skipped+c.Failed != 0 {
		t.Errorf("%+v", c)
	}
	if !strings.Contains(log.String(), "memory is short") {
		t.Errorf("log:\n%s", log.String())
	}
	s.Room(1 << 40)
	if err := s.Export(t.Context(), take(leakEvent("shop.go:1", 100))); err != nil {
		t.Error(err)
	}
	s.WaitIdle(t)
	if c := s.Stats(); c.Made != 1 {
		t.Errorf("once there is room: %+v", c)
	}
}

// What takes memory in proportion to the goroutines is left out of a bundle, named,
// counted and logged.
func TestBundleWithLittleHeadroom(t *testing.T) {
	var log bytes.Buffer
	s := newStore(t, evidence.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.Room(65 << 20)
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
	left := map[string]string{}
	for _, x := range m.Skipped {
		left[x.What] = x.Why
	}
	if !strings.Contains(left["goroutine.pb.gz"], "memory is short") || !strings.Contains(left["goroutineleak.pb.gz"], "memory is short") {
		t.Errorf("left out: %v", left)
	}
	if c := s.Stats(); c.Refused != 2 || c.Made != 1 {
		t.Errorf("%+v", c)
	}
	if n := strings.Count(log.String(), "a part of the evidence was not taken"); n != 2 {
		t.Errorf("log:\n%s", log.String())
	}
}

// An application that sets its mutex profile fraction during a capture keeps it,
// whatever it is, and one that sets none has none afterwards.
func TestMutexFractionOfTheApplication(t *testing.T) {
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
