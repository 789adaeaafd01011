// SPDX-License-Identifier: Apache-2.0

package rarity

import "time"

const (
	halfHours = 48
	hours     = halfHours / 2
)

// timeOfDay has the mean of the value in each half hour of the day, then of the smoothed
// value in each hour.
type timeOfDay struct {
	Mean [halfHours + hours]float32
	N    [halfHours + hours]uint8
}

// halfHour returns the slot of t in its time zone: traffic follows the clock, with its
// daylight saving time. The slot of the hour is halfHours + half of it.
func halfHour(t time.Time) int {
	hour, minute, _ := t.Clock()
	return hour*2 + minute/30
}

// residual returns x minus the mean of a slot, or 0 if the slot has at most minimum values.
func (d *timeOfDay) residual(slot int, x float64, minimum uint8) float64 {
	if d.N[slot] <= minimum {
		return 0
	}
	return x - float64(d.Mean[slot])
}

// learn adds x. Once the slot has ten values, the distance of x counts as at most maxStep.
func (d *timeOfDay) learn(slot int, x, maxStep float64) {
	const rate = 0.01
	if d.N[slot] < 255 {
		d.N[slot]++
	}
	step := x - float64(d.Mean[slot])
	if d.N[slot] > 10 {
		step = max(-maxStep, min(maxStep, step))
	}
	d.Mean[slot] += float32(max(rate, 1/float64(d.N[slot])) * step)
}
