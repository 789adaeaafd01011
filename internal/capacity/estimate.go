// SPDX-License-Identifier: Apache-2.0

package capacity

import "math"

// State is the state of an [Estimate]. It explains why values are absent.
type State string

// The states of an estimate.
const (
	// Learning: too few windows, or the load varied too little, for the present mix of
	// requests.
	Learning State = "learning"
	// Known: the estimate is valid, with the probability Confidence.
	Known State = "known"
	// Uncertain: there are enough windows, but CPU time depends too little on the load.
	Uncertain State = "uncertain"
	// Waiting: requests queue for something other than CPU, such as a lock, a pool or
	// another service. The CPU time does not determine the limit.
	Waiting State = "waiting"
)

// Estimate has the number of requests (local root spans) per second that the process can serve
// before its CPU is used up. Unknown values are NaN.
type Estimate struct {
	State State
	// CPUPerRequest is the CPU time in seconds of one additional request.
	CPUPerRequest float64
	// Background is the CPU time per second without any request.
	Background float64
	// Saturation is the share of the usable CPU that is used.
	Saturation float64
	// Limit is the rate in requests per second at which all usable CPU is used.
	Limit float64
	// Headroom is the number of requests per second that may be added until 80 % of the
	// usable CPU is used. It is negative if more is used.
	Headroom float64
	// Confidence is the probability that Limit is within 15 % of the true one.
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
