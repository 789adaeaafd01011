// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "time"

// Band has the value of one signal at a tick and the range that its baseline expects.
type Band struct {
	// Signal is the name of the signal. It has low cardinality.
	Signal string
	// Unit is a UCUM unit, as in [Metric].
	Unit string
	// Value is the measured value. The expected value is Expected, the expected range Lower to
	// Upper. Without an anomaly that is the range of a single value. During one it is the range
	// that the signal has left. It is narrower, because a run of values can be an anomaly although
	// each of them is normal. The value may be inside again before the anomaly ends.
	Value, Expected, Lower, Upper float64
	// Since is the start of the present anomaly, zero without one.
	Since time.Time
	// Learning reports whether the baseline has too few values to detect anomalies. Expected,
	// Lower and Upper are then equal to Value.
	Learning bool
	// Anomalies is the number of anomalies so far, including the present one.
	Anomalies uint64
}
