// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math"
	"testing"
)

// At a load just beyond the familiar ones the expectation hardly changes. For higher loads
// it grows with the load.
func TestCurveIsContinuousAtTheEdgeOfFamiliarLoads(t *testing.T) {
	var c curve
	for range 2 * familiarSamples {
		e := c.expect(c.at(15.3), 1)
		c.learn(15.3, math.Log(60), &e, 0.001)
	}
	expect := func(place float64) float64 {
		e := c.expect(c.at(place), 1)
		if !e.known {
			t.Fatalf("no expectation at %v", place)
		}
		return math.Exp(e.value)
	}
	inside, outside := expect(15.49), expect(15.51)
	if ratio := outside / inside; math.Abs(ratio-1) > 0.01 {
		t.Errorf("%v before the edge, %v after it", inside, outside)
	}
	if far := expect(17.5); math.Abs(far/inside-2) > 0.02 { // two slots: twice the load
		t.Errorf("%v at twice the load, %v at its own", far, inside)
	}
}
