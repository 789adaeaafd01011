// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "math"

// GoroutineGroup is one of the largest groups of goroutines that wait alike.
type GoroutineGroup struct {
	Wait    string // what they wait for: "chan send"
	Site    string // where, outside the runtime: "shop.notify (cart.go:88)"
	Entry   string // the function they were started with
	Verdict string // what is thought of them, empty for nothing
	// Goroutines is how many there are.
	Goroutines int
}

// Findings is what the goroutine detective reports at a tick.
type Findings struct {
	Groups []GoroutineGroup // the largest, bounded by the detective
	// Suspects is how many groups leak or are stuck, Leaked how many goroutines the
	// garbage collector has proved leaked.
	Suspects, Leaked int
	// Surveys were taken, SurveysSkipped left out because they would have cost too
	// much; cumulative.
	Surveys, SurveysSkipped uint64
	// Recordings of suspicious groups were made, RecordingsFailed could not be made;
	// cumulative.
	Recordings, RecordingsFailed uint64
	Events                       []Event
}

func findings(f func(*Findings) float64) *source {
	return computed(func(r *reading) float64 {
		if r.tick.Findings == nil {
			return math.NaN()
		}
		return f(r.tick.Findings)
	})
}

func goroutineGroups(t *Tick, to *emitter) {
	if t.Findings == nil {
		return
	}
	for i := range t.Findings.Groups {
		g := &t.Findings.Groups[i]
		to.add(float64(g.Goroutines), g.Wait, g.Site, g.Entry, g.Verdict)
	}
}
