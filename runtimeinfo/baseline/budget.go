// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math"
	"time"

	"github.com/gmpulse/gmpulse/internal/rarity"
)

const week = 7 * 24 * time.Hour

// budget has the thresholds that keep a signal to its number of false alarms.
type budget struct {
	interval time.Duration // between false alarms of one signal
	fast     float64       // evidence for an alarm, see cusum
	slow     float64
	rare     float64 // score of a minute, see rarity.Detector
}

// newBudget divides the alerts of a group among its signals.
func newBudget(alertsPerWeek float64, signals int) *budget {
	perSignal := alertsPerWeek / float64(max(1, signals))
	interval := time.Duration(min(float64(week)/perSignal, math.MaxInt64/2))
	return &budget{
		interval: interval,
		fast:     fastScale().threshold(interval),
		slow:     slowScale().threshold(interval),
		// rarity.Threshold gives about one false alarm per series and week; 2.5 more
		// make it ten times rarer.
		rare: rarity.Threshold + max(0, 2.5*math.Log10(1/perSignal)),
	}
}
