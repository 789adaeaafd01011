// SPDX-License-Identifier: Apache-2.0

package profiler_test

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// The sink receives each profile once.
func TestSinkReceivesEachProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		received := 0
		p, _ := newSimulated(t, profiler.Config{Every: 30 * time.Second, Sink: func(kind string, from, to time.Time, data []byte) {
			if _, err := profiles.Decode(data); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if cpu := kind == "cpu"; cpu != to.After(from) {
				t.Errorf("%s from %v to %v", kind, from, to)
			}
			received++
		}})
		run(p, 10*time.Minute)
		taken := p.Taken()
		if want := taken["cpu"] + taken["heap"] + taken["goroutine"]; want < 20 || uint64(received) != uint64(want) {
			t.Errorf("received %d of %v", received, taken)
		}
	})
}

// A sink that panics is not called again, and profiles go on.
func TestSinkThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		var log strings.Builder
		p, _ := newSimulated(t, profiler.Config{
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Sink: func(string, time.Time, time.Time, []byte) {
				calls.Add(1)
				panic("the sink is broken")
			},
		})
		run(p, 10*time.Minute)
		if n := p.Taken()["cpu"]; n < 19 {
			t.Errorf("%d CPU profiles", n)
		}
		if calls.Load() != 1 || strings.Count(log.String(), "the sink is broken") != 1 {
			t.Errorf("%d calls, log:\n%s", calls.Load(), log.String())
		}
	})
}
