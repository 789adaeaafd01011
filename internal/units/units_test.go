// SPDX-License-Identifier: Apache-2.0

package units_test

import (
	"math"
	"testing"

	"github.com/gmpulse/gmpulse/internal/units"
)

func TestFormat(t *testing.T) {
	for _, tt := range []struct {
		v    float64
		unit string
		want string
	}{
		{41_234_567, "By", "41.2 MB"},
		{2.5e9, "By", "2.5 GB"},
		{999, "By", "999"},
		{-3000, "By", "-3 KB"},
		{3.1234, "s", "3.12s"},
		{0.0004471, "s", "447µs"},
		{7200, "s", "2h"},
		{200.4, "s", "3m20s"},
		{100, "s", "1m40s"},
		{0.9996, "s", "1s"},
		{1e12, "s", "1e+12s"},
		{0, "s", "0s"},
		{0.123456, "1", "12.3 %"},
		{812, "{goroutine}", "812"},
		{123456, "{goroutine}", "123456"},
		{1234567, "", "1234567"},
		{12345.6, "", "12346"},
		{1e13, "", "1e+13"},
		{0.3125, "{cpu}", "0.3125"},
		{math.MaxFloat64, "s", "1.798e+308s"},
	} {
		if got := units.Format(tt.v, tt.unit); got != tt.want {
			t.Errorf("Format(%v, %q) = %q, want %q", tt.v, tt.unit, got, tt.want)
		}
	}
}

func TestShorten(t *testing.T) {
	for s, want := range map[string]string{"": "", "abc": "abc", "abcd": "abc…", "abé": "ab…", "ébc": "éb…", "\x80\x80\x80\x80": "…"} {
		if got := units.Shorten(s, 3); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
