// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"math"
	"runtime"
	"runtime/metrics"
)

// goroutineState is a state of goroutines in runtime/metrics, since Go 1.26.
type goroutineState int

const (
	stateRunning goroutineState = iota
	stateRunnable
	stateWaiting
	stateNotInGo
	numStates
)

// String returns the state as in the keys of runtime/metrics.
func (s goroutineState) String() string {
	return [numStates]string{"running", "runnable", "waiting", "not-in-go"}[s]
}

// sched has one reading of the scheduler.
type sched struct {
	total   float64
	user    float64
	procs   float64 // GOMAXPROCS
	states  [numStates]float64
	repairs uint64 // impossible values in this reading
}

// schedKeys returns the keys of a reading, in the order that schedOf needs. If they are read in one
// call, the runtime counts the goroutines once for all of them. It visits the Ps, not the goroutines,
// under the lock of the scheduler.
func schedKeys() []string {
	return []string{
		"/sched/goroutines:goroutines",
		"/sched/gomaxprocs:threads",
		"/sched/goroutines/running:goroutines",
		"/sched/goroutines/runnable:goroutines",
		"/sched/goroutines/waiting:goroutines",
		"/sched/goroutines/not-in-go:goroutines",
	}
}

// schedOf returns the reading of samples with the keys of schedKeys. If this version of Go does not
// have one of the keys, only the number of user goroutines is known.
func schedOf(samples []metrics.Sample) sched {
	for i := range samples {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return unknownSched()
		}
	}
	total := samples[0].Value.Uint64()
	procs := samples[1].Value.Uint64()
	var states [numStates]uint64
	for i := range states {
		states[i] = samples[2+i].Value.Uint64()
	}
	return repair(total, uint64(runtime.NumGoroutine()), procs, states)
}

func unknownSched() sched {
	s := sched{total: math.NaN(), user: float64(runtime.NumGoroutine()), procs: math.NaN()}
	for i := range s.states {
		s.states[i] = math.NaN()
	}
	return s
}

// repair replaces impossible values. Go 1.26 does not read its counters at the same time: if many
// goroutines start and end, "waiting" becomes negative and wraps around to about 2^64, and the total
// is wrong too. Go 1.27 has fixed it.
func repair(total, user, procs uint64, states [numStates]uint64) sched {
	s := sched{user: float64(user), procs: float64(procs)}
	if wrapped(total) {
		total = user
		s.repairs++
	}
	if wrapped(states[stateWaiting]) {
		total = max(total, user)
	}
	for i, n := range states {
		if goroutineState(i) != stateWaiting && wrapped(n) {
			states[i] = 0
			s.repairs++
		}
	}
	if states[stateRunning] > procs {
		states[stateRunning] = procs
		s.repairs++
	}
	if wrapped(states[stateWaiting]) {
		others := states[stateRunning] + states[stateRunnable] + states[stateNotInGo]
		states[stateWaiting] = total - min(total, others)
		s.repairs++
	}
	s.total = float64(total)
	for i, n := range states {
		s.states[i] = float64(n)
	}
	return s
}

// wrapped reports whether a count became negative.
func wrapped(n uint64) bool { return n > math.MaxUint64/2 }

func (s *sched) runnablePerP() float64 { return s.states[stateRunnable] / s.procs }
