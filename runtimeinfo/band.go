// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "time"

// Band is what a baseline expects of one signal at a tick, beside what it saw.
type Band struct {
	// Signal is the name of the watched signal, low in cardinality.
	Signal string
	// Unit is UCUM, as in [Metric].
	Unit string
	// Value was seen; Expected, within Lower and Upper, is what was to be seen.
	Value, Expected, Lower, Upper float64
	// Since is when the anomaly under way began; zero while the signal is as expected.
	Since time.Time
	// Learning tells that too little is known yet to call anything an anomaly.
	// Expected, Lower and Upper are then the value itself.
	Learning bool
	// Anomalies is how many began so far, the one under way included.
	Anomalies uint64
}
