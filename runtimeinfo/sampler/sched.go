// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"math"
	"runtime"
	"runtime/metrics"
)

// goroutineState is one of the states that Go 1.26 counts goroutines by.
type goroutineState int

const (
	stateRunning goroutineState = iota
	stateRunnable
	stateWaiting
	stateNotInGo
	numStates
)

// String returns the state as in the runtime's metric keys.
func (s goroutineState) String() string {
	return [numStates]string{"running", "runnable", "waiting", "not-in-go"}[s]
}

// sched is one look at the scheduler: what the pulse and the tick both read.
type sched struct {
	total   float64
	user    float64
	procs   float64 // GOMAXPROCS
	states  [numStates]float64
	repairs uint64 // impossible values in this look
}

// The keys of one look at the scheduler, in the order that looker reads them.
// They are read in one call: the runtime counts the goroutines once for all of
// them, walking the Ps (not the goroutines) under the scheduler's lock.
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

// look interprets samples read with schedKeys. On a toolchain that lacks one of
// the keys everything but the number of user goroutines is absent.
func look(samples []metrics.Sample) sched {
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

// repair mends what cannot be. In Go 1.26 the counts come from counters that
// are not read at one instant; under churn "waiting" passes below zero and
// wraps to about 2^64, and the total is then off too. (The runtime's guard is
// on an unsigned field; 1.27 has it right.)
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

// wrapped tells a count that passed below zero.
func wrapped(n uint64) bool { return n > math.MaxUint64/2 }

func (s *sched) runnablePerP() float64 { return s.states[stateRunnable] / s.procs }

// The sources of the scheduler rows.

func schedTotal(r *reading) float64   { return r.sched.total }
func schedUser(r *reading) float64    { return r.sched.user }
func runnablePerP(r *reading) float64 { return r.sched.runnablePerP() }

func stateNow(s goroutineState) *source {
	return computed(func(r *reading) float64 { return r.sched.states[s] })
}

func stateMin(s goroutineState) *source {
	return computed(func(r *reading) float64 { return r.pulse.states[s].min })
}

func stateMean(s goroutineState) *source {
	return computed(func(r *reading) float64 { return r.pulse.states[s].mean() })
}

func stateMax(s goroutineState) *source {
	return computed(func(r *reading) float64 { return r.pulse.states[s].max })
}
