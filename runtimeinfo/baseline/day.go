// SPDX-License-Identifier: Apache-2.0

package baseline

import "time"

const (
	daySlots    = 48 // half an hour each
	coarseSlots = daySlots / 2
)

// day is what is usual at a time of day: of the value in every half hour, and of
// the smoothed value in every hour.
type day struct {
	Mean [daySlots + coarseSlots]float32
	N    [daySlots + coarseSlots]uint8
}

// halfHour is the index of the slot that t lies in, by the clock on t's wall:
// traffic follows the clock, daylight saving included. Its hour's slot is at
// daySlots + half of it.
func halfHour(t time.Time) int {
	hour, minute, _ := t.Clock()
	return hour*2 + minute/30
}

// residual is how far x lies from the usual in a slot; zero until the slot has
// been visited more than least times.
func (d *day) residual(slot int, x float64, least uint8) float64 {
	if d.N[slot] <= least {
		return 0
	}
	return x - float64(d.Mean[slot])
}

// learn takes x in. One that lies farther away than reach counts as if it lay
// there, so that one outlier does not spoil what is usual.
func (d *day) learn(slot int, x, reach float64) {
	if d.N[slot] < 255 {
		d.N[slot]++
	}
	by := x - float64(d.Mean[slot])
	if d.N[slot] > trusted {
		by = max(-reach, min(reach, by))
	}
	d.Mean[slot] += float32(max(dayRate, 1/float64(d.N[slot])) * by)
}

const (
	dayRate = 0.01
	// trusted is how many visits a slot must have before it limits what it learns.
	trusted = 10
)
