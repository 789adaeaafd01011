// SPDX-License-Identifier: Apache-2.0

package exectrace

import "time"

const (
	// Recording costs the application about 80 ns for each event of about 6 bytes
	// (benchmarks/exectrace).
	bytesPerEvent = 6
	costPerEvent  = 80 * time.Nanosecond
	// costPerListed is the cost to list a goroutine with its stack. The tracer lists
	// the goroutines that did not run, once a second.
	costPerListed = time.Microsecond
	maxPause      = time.Hour
)

// A governor decides whether Run may go on recording, and how long it pauses if not.
type governor struct {
	config Config
	pauses int // in a row, without a recording in between
}

// load is the cost of recording.
type load struct {
	goroutines int
	rate       float64       // bytes per second while recording
	reading    time.Duration // time to read the last recording
}

// allows reports whether a load is within the limits.
func (g *governor) allows(l load) bool {
	return l.goroutines <= g.config.MaxGoroutines &&
		l.rate <= float64(g.config.MaxRate) &&
		g.share(l) <= g.config.MaxShare
}

// share returns an estimate of the share of one core that a load takes on average.
func (g *governor) share(l load) float64 {
	recording := l.rate / bytesPerEvent * costPerEvent.Seconds()
	if g.config.Mode == DutyCycle {
		recording *= g.config.For.Seconds() / g.config.Every.Seconds()
	}
	return recording + l.reading.Seconds()/g.config.Every.Seconds()
}

// pause returns the length of the next pause. Each pause is twice as long as the one
// before.
func (g *governor) pause() time.Duration {
	pause := min(maxPause, g.config.Every<<min(g.pauses, 16))
	g.pauses++
	return max(pause, g.config.Every)
}
