// SPDX-License-Identifier: Apache-2.0

package exectrace

import "time"

const (
	// Recording costs the application about 80 ns for each event of some 6 bytes
	// (trace-correlation §3, benchmarks/exectrace).
	bytesPerEvent = 6
	costPerEvent  = 80 * time.Nanosecond
	// costPerListed is the cost to list a goroutine with its stack, which the
	// tracer does in each generation if the goroutine did not run.
	costPerListed = time.Microsecond
	maxPause      = time.Hour
)

// governor says whether recording may go on, and for how long to leave it be if
// not. It is a function of what it is told: it looks at no clock.
type governor struct {
	config Config
	steps  int // back, in a row
}

// load is what recording costs.
type load struct {
	goroutines int
	rate       float64       // bytes a second while it records
	reading    time.Duration // of the last recording
}

// affords tells whether a load is one to go on with.
func (g *governor) affords(l load) bool {
	return l.goroutines <= g.config.MaxGoroutines &&
		l.rate <= float64(g.config.MaxRate) &&
		g.share(l) <= g.config.MaxShare
}

// share estimates how much of one core a load takes on average.
func (g *governor) share(l load) float64 {
	recording := l.rate / bytesPerEvent * costPerEvent.Seconds()
	if g.config.Mode == DutyCycle {
		recording *= g.config.For.Seconds() / g.config.Every.Seconds()
	}
	return recording + l.reading.Seconds()/g.config.Every.Seconds()
}

// forward says that a recording went well.
func (g *governor) forward() { g.steps = 0 }

// back returns for how long not to record, longer each time in a row.
func (g *governor) back() time.Duration {
	pause := min(maxPause, g.config.Every<<min(g.steps, 16))
	g.steps++
	return max(pause, g.config.Every)
}
