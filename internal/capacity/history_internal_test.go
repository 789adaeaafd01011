// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"math"
	"testing"
	"time"
)

// The levels within a factor of 16 are kept, however many windows of other levels are added.
func TestHistoryKeepsEveryLevel(t *testing.T) {
	var m history
	now := time.Now()
	put := func(rate float64) {
		now = now.Add(10 * time.Second)
		m.add(&window{end: now, rate: rate, cpu: rate / 1000, requests: 10 * rate, like: 1})
	}
	for o := range 40 { // ten octaves up
		for range 2 * perLevel {
			put(1.01 * math.Exp2(float64(o)/perOctave))
		}
	}
	highest := 1.01 * math.Exp2(39.0/perOctave)
	for range 1000 { // a long night
		put(0.3)
		put(0.001 * highest)
		put(0)
	}
	points := m.points(nil, now)
	perRate := map[float64]int{}
	for _, p := range points {
		perRate[p.x]++
	}
	// 15 levels of the way up, one with the night in it, and one without requests.
	if len(points) != (levels+1)*perLevel || perRate[0] != perLevel || perRate[0.3]+perRate[0.001*highest] != perLevel {
		t.Errorf("%d windows: %v", len(points), perRate)
	}
	for o := range levels - 1 {
		if rate := 1.01 * math.Exp2(float64(39-o)/perOctave); perRate[rate] != perLevel {
			t.Errorf("%d windows at %v/s", perRate[rate], rate)
		}
	}
	put(1.19 * highest) // the next level takes the place of the lowest
	if n := len(m.points(nil, now)); n != levels*perLevel+1 {
		t.Errorf("%d windows with one more level", n)
	}
}

func TestTopWithoutWindowsFits32Bits(t *testing.T) {
	var m history
	if top := int64(m.top()); top-levels < math.MinInt32 || top > -5000 { // 2^-1074 is the least rate
		t.Errorf("top without windows: %d", top)
	}
}
