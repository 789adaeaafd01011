// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// slowRecorder is an exporter that stores sequence numbers. Every second call takes 21 to 38 ms and the
// others 1 ms, so that at most one snapshot waits for it if there is one every 20 ms.
type slowRecorder struct {
	random *rand.Rand
	calls  int
	got    []uint64
	shut   int
}

func (r *slowRecorder) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	r.calls++
	took := time.Millisecond
	if r.calls%2 == 1 {
		took = time.Duration(21+r.random.IntN(18)) * time.Millisecond
	}
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return ctx.Err()
	}
	r.got = append(r.got, s.Seq)
	return nil
}

func (r *slowRecorder) Shutdown(context.Context) error { r.shut++; return nil }

// stopAt starts an agent whose exporter receives every tick, stops it after some time, and returns the
// agent and the exporter.
func stopAt(t *testing.T, random *rand.Rand, after time.Duration) (*agent.Agent, *slowRecorder) {
	t.Helper()
	x := &slowRecorder{random: random}
	a, err := agent.Start(agent.WithListen("off"), agent.WithInterval(20*time.Millisecond),
		agent.WithLogger(slog.New(slog.DiscardHandler)), agent.WithExporter("recorder", x, engine.EveryTick()))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	stop(t, a)
	return a, x
}

// Of 100 agents that stop while a snapshot is exported, while another one waits, or both, none loses
// one: the exporter has received every tick once and in order.
func TestStopLosesNoSnapshot(t *testing.T) {
	random := rand.New(rand.NewPCG(16, 20)) //nolint:gosec // reproducible on purpose
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			a, x := stopAt(t, random, time.Duration(random.IntN(80_000))*time.Microsecond)
			s := a.Stats()
			var n exporters.Account
			for _, e := range s.Exporters {
				if e.Name == "recorder" {
					n = e.Snapshots
				}
			}
			if n.Accepted != s.Ticks || n.Delivered != n.Accepted || n.Lost() != 0 || n.Pending != 0 || n.Dropped(exporters.DropReplaced) != 0 {
				t.Errorf("%d ticks: %+v", s.Ticks, n)
			}
			if uint64(len(x.got)) != s.Ticks || x.shut != 1 {
				t.Errorf("%d ticks, the exporter received %v and %d calls of Shutdown", s.Ticks, x.got, x.shut)
			}
			for i, seq := range x.got {
				if seq != uint64(i+1) {
					t.Errorf("snapshot %d has the number %d", i+1, seq)
				}
			}
		})
	}
}
