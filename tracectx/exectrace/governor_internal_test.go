// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"testing"
	"time"
)

func TestGovernorAllowsLoadsWithinTheLimits(t *testing.T) {
	duty, err := Config{Mode: DutyCycle}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	always := duty
	always.Mode = Always
	for _, c := range []struct {
		what   string
		config Config
		load   load
		want   bool
	}{
		{"idle", always, load{goroutines: 100, rate: 1e4, reading: time.Millisecond}, true},
		{"20,000 goroutines", always, load{goroutines: 20_000}, true},
		{"more", always, load{goroutines: 20_001}, false},
		{"a thousand requests a second", always, load{rate: 1000 * 50 * bytesPerEvent, reading: 250 * time.Millisecond}, true},
		{"two thousand and a slow reader", always, load{rate: 2000 * 50 * bytesPerEvent, reading: 250 * time.Millisecond}, false},
		{"two thousand, duty cycle", duty, load{rate: 2000 * 50 * bytesPerEvent, reading: 100 * time.Millisecond}, true},
		{"4 MiB a second, duty cycle", duty, load{rate: 4 << 20}, true},
		{"more bytes", duty, load{rate: 4<<20 + 1}, false},
		{"reading takes 1.1 % of a core", duty, load{reading: 660 * time.Millisecond}, false},
	} {
		if g := (governor{config: c.config}); g.allows(c.load) != c.want {
			t.Errorf("%s: %v, share %v", c.what, !c.want, g.share(c.load))
		}
	}
}

func TestPausesDoubleUpToAnHour(t *testing.T) {
	c, err := Config{Mode: DutyCycle}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	g := governor{config: c}
	for _, minutes := range []float64{1, 2, 4, 8, 16, 32, 60, 60} {
		if got := g.pause(); got.Minutes() != minutes {
			t.Errorf("%v, want %v minutes", got, minutes)
		}
	}
	for range 100 {
		if got := g.pause(); got != time.Hour {
			t.Fatalf("%v", got)
		}
	}
	g.pauses = 0
	if got := g.pause(); got != time.Minute {
		t.Errorf("after a reset: %v", got)
	}
}
