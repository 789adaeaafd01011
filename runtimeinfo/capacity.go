// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "math"

// CapacityState says what is known of the capacity of the process, and so why
// values of [Capacity] are absent.
type CapacityState string

// The states of knowledge.
const (
	// CapacityLearning: too few windows, or too little spread of load, under the
	// present mix of requests.
	CapacityLearning CapacityState = "learning"
	// CapacityKnown: the estimate holds, as far as its confidence says.
	CapacityKnown CapacityState = "known"
	// CapacityUncertain: enough was seen, but CPU time follows the load too loosely.
	CapacityUncertain CapacityState = "uncertain"
	// CapacityWaiting: requests queue, and not for CPU. A lock, a pool or another
	// service is the limit, and CPU time says nothing about it.
	CapacityWaiting CapacityState = "waiting"
)

// Capacity is how many requests (local root spans) a second the process can
// serve before its CPU is used up. NaN is absent: what is not known is not guessed.
type Capacity struct {
	State CapacityState
	// CPUPerRequest is the CPU time in seconds that one request more costs.
	CPUPerRequest float64
	// Background is the CPU time per second that is used without any request.
	Background float64
	// Saturation is the share of the usable CPU that is used.
	Saturation float64
	// Limit is the rate in requests per second at which all usable CPU is used.
	Limit float64
	// Headroom is how many requests per second may be added until the target
	// share of the usable CPU is used; below zero the target is passed.
	Headroom float64
	// Confidence is the probability that Limit is within 15 % of the truth.
	Confidence float64
}

// UnknownCapacity has everything absent.
func UnknownCapacity() Capacity {
	nan := math.NaN()
	return Capacity{
		State: CapacityLearning, CPUPerRequest: nan, Background: nan, Saturation: nan,
		Limit: nan, Headroom: nan, Confidence: nan,
	}
}
