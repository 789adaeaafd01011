// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"math"
	"testing"
)

// The values that Go 1.26 reports by mistake cannot be provoked reliably.
func TestRepairReplacesImpossibleValues(t *testing.T) {
	const minus1, minus5 = math.MaxUint64, math.MaxUint64 - 4
	for _, c := range []struct {
		name                string
		total, user, procs  uint64
		states              [numStates]uint64 // running, runnable, waiting, not in Go
		want                [numStates]float64
		wantTotal, wantUser float64
		repairs             uint64
	}{
		{"sound values stay, though they do not sum", 10, 7, 2, [numStates]uint64{1, 2, 3, 0}, [numStates]float64{1, 2, 3, 0}, 10, 7, 0},
		{"waiting wrapped", 10, 7, 4, [numStates]uint64{2, 1, minus5, 1}, [numStates]float64{2, 1, 6, 1}, 10, 7, 1},
		{"waiting wrapped and total too low", 1, 7, 4, [numStates]uint64{2, 1, minus1, 0}, [numStates]float64{2, 1, 4, 0}, 7, 7, 1},
		{"waiting wrapped, others above the total", 3, 3, 8, [numStates]uint64{4, 5, minus1, 0}, [numStates]float64{4, 5, 0, 0}, 3, 3, 1},
		{"total wrapped", minus1, 7, 2, [numStates]uint64{1, 0, 5, 0}, [numStates]float64{1, 0, 5, 0}, 7, 7, 1},
		{"running above GOMAXPROCS", 50, 50, 2, [numStates]uint64{31, 0, 5, 0}, [numStates]float64{2, 0, 5, 0}, 50, 50, 1},
		{"not-in-go wrapped", 9, 9, 2, [numStates]uint64{1, 1, 5, minus1}, [numStates]float64{1, 1, 5, 0}, 9, 9, 1},
	} {
		s := repair(c.total, c.user, c.procs, c.states)
		if s.states != c.want || s.total != c.wantTotal || s.user != c.wantUser || s.repairs != c.repairs {
			t.Errorf("%s: got states %v, total %v, user %v, %d repairs", c.name, s.states, s.total, s.user, s.repairs)
		}
	}
}

// For any input, all values are possible.
func FuzzRepair(f *testing.F) {
	f.Add(uint64(10), uint64(7), uint64(2), uint64(1), uint64(2), uint64(math.MaxUint64), uint64(0))
	f.Fuzz(func(t *testing.T, total, user, procs, running, runnable, waiting, notInGo uint64) {
		user, procs = user%1e9, procs%1e5
		s := repair(total, user, procs, [numStates]uint64{running, runnable, waiting, notInGo})
		for state, v := range s.states {
			if v < 0 || v >= math.MaxInt64*1.01 {
				t.Errorf("%v is %v", goroutineState(state), v)
			}
		}
		if s.states[stateRunning] > float64(procs) {
			t.Errorf("%v goroutines run on %v Ps", s.states[stateRunning], procs)
		}
	})
}
