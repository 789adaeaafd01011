// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/internal/testutil"
)

// The cost of a tick is linear in the number of gauges, which are 256 at most. In the bubble, the
// process does nothing but ticks.
func TestTickIsLinearInGauges(t *testing.T) {
	if cputime.Process() == 0 {
		t.Skip("this system does not report the CPU time of a process")
	}
	testutil.LinearCost(t, 16, func(n int) func() time.Duration {
		return func() (cost time.Duration) {
			synctest.Test(t, func(t *testing.T) {
				e, stop := run(t, engine.WithExporter("collect", &collect{}, engine.EveryTick()))
				for i := range n {
					if err := e.Gauge(fmt.Sprintf("app.depth%d", i), "{item}", "Items.", func() float64 { return float64(i) }); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(3*time.Second + time.Millisecond) // after a tick with all gauges
				before := cputime.Process()
				time.Sleep(30 * time.Second)
				cost = cputime.Process() - before
				s := e.Snapshot()
				if v, ok := s.Number(fmt.Sprintf("app.depth%d", n-1)); !ok || v != float64(n-1) {
					t.Errorf("the last of %d gauges is %v, %v", n, v, ok)
				}
				if err := stop(time.Second); err != nil {
					t.Error(err)
				}
			})
			return cost
		}
	})
}

// Adding gauges copies the catalogue, so that ticks need no lock. The cost of one more gauge is linear in
// the number of gauges.
func TestGaugeIsLinearInGauges(t *testing.T) {
	testutil.Linear(t, 16, func(n int) func() {
		e, err := engine.New(quiet)
		if err != nil {
			t.Fatal(err)
		}
		add := func(i int) error {
			return e.Gauge(fmt.Sprintf("app.depth%d", i), "", "Items.", func() float64 { return 0 })
		}
		for i := range n - 20 {
			if err := add(i); err != nil {
				t.Fatal(err)
			}
		}
		next := n
		return func() {
			next++
			if err := add(next); err != nil {
				t.Fatal(err)
			}
		}
	})
}
