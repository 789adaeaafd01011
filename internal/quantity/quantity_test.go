// SPDX-License-Identifier: Apache-2.0

package quantity_test

import (
	"testing"

	"github.com/gmpulse/gmpulse/internal/quantity"
)

func TestFormat(t *testing.T) {
	for _, test := range []struct {
		v    float64
		unit string
		want string
	}{
		{1.25, "s", "1.25s"},
		{0.0123456, "s", "12.3ms"},
		{3.2e-6, "s", "3.2µs"},
		{4000, "s", "1h6m40s"},
		{0, "s", "0s"},
		{0.256, "1", "25.6 %"},
		{1.2e9, "By", "1.2 GB"},
		{512, "By", "512"},
		{123456, "{goroutine}", "123456"},
		{0, "", "0"},
	} {
		if got := quantity.Format(test.v, test.unit); got != test.want {
			t.Errorf("%v %s is %q, want %q", test.v, test.unit, got, test.want)
		}
	}
}
