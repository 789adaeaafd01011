// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math"
	"time"
)

// week is what alerts are counted by.
const week = 7 * 24 * time.Hour

// budget is how much evidence an alarm takes, by how many are wanted.
type budget struct {
	between time.Duration // two false alarms of one signal
	fast    float64
	slow    float64
	rare    float64 // the score that a minute needs
}

// newBudget shares so many alerts a week out among the signals of a group.
func newBudget(alertsPerWeek float64, signals int) *budget {
	perSignal := alertsPerWeek / float64(max(1, signals))
	between := time.Duration(min(float64(week)/perSignal, math.MaxInt64/2))
	return &budget{
		between: between,
		fast:    fastPace().base(between),
		slow:    slowPace().base(between),
		// At the threshold of Series there is about one false alarm a series and
		// week; 2.5 more make it ten times rarer.
		rare: Threshold + max(0, 2.5*math.Log10(1/perSignal)),
	}
}
