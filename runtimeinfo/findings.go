// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

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
