// SPDX-License-Identifier: Apache-2.0

package capacity

import "math"

// State says what is known of the capacity of the process, and so why
// values of [Estimate] are absent.
type State string

// The states of knowledge.
const (
	// Learning: too few windows, or too little spread of load, under the
	// present mix of requests.
	Learning State = "learning"
	// Known: the estimate holds, as far as its confidence says.
	Known State = "known"
	// Uncertain: enough was seen, but CPU time follows the load too loosely.
	Uncertain State = "uncertain"
	// Waiting: requests queue, and not for CPU. A lock, a pool or another
	// service is the limit, and CPU time says nothing about it.
	Waiting State = "waiting"
)

// Estimate is how many requests (local root spans) a second the process can
// serve before its CPU is used up. NaN is absent: what is not known is not guessed.
type Estimate struct {
	State State
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

// unknown returns an estimate with every value absent.
func unknown() Estimate {
	nan := math.NaN()
	return Estimate{
		State: Learning, CPUPerRequest: nan, Background: nan, Saturation: nan,
		Limit: nan, Headroom: nan, Confidence: nan,
	}
}
