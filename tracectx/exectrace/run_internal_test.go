// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"testing"
	"time"
)

func TestPeriodKeepsTheShare(t *testing.T) {
	c, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	const perRequest = 50 * bytesPerEvent // 50 events
	for _, x := range []struct {
		what              string
		rate              float64
		recorded, reading time.Duration
		want              time.Duration
	}{
		{"nothing", 0, 0, 0, time.Minute},
		{"always, a thousand requests a second", 1000 * perRequest, time.Minute, 250 * time.Millisecond, time.Minute},
		{"always, two thousand", 2000 * perRequest, time.Minute, 250 * time.Millisecond, 73 * time.Second},
		{"two seconds of two thousand", 2000 * perRequest, 2 * time.Second, 100 * time.Millisecond, time.Minute},
		{"a slow reader", 0, 2 * time.Second, 660 * time.Millisecond, 66 * time.Second},
		{"far too much", 1e9, time.Minute, time.Minute, time.Hour},
	} {
		if got := c.period(x.rate, x.recorded, x.reading); (got - x.want).Abs() > time.Millisecond {
			t.Errorf("%s: %v, want %v", x.what, got, x.want)
		}
	}
	c.Every = 2 * time.Hour
	if got := c.period(1e9, time.Minute, time.Minute); got != c.Every {
		t.Errorf("of a long period: %v", got)
	}
}
