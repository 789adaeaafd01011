// SPDX-License-Identifier: Apache-2.0

// Package quantity formats values with units of UCUM.
package quantity

import (
	"strconv"
	"time"
)

// Format returns a value with its unit, as people read it.
func Format(v float64, unit string) string {
	switch unit {
	case "s":
		return roundDuration(time.Duration(v * float64(time.Second))).String()
	case "1":
		return strconv.FormatFloat(100*v, 'g', 3, 64) + " %"
	case "By":
		for _, u := range [...]struct {
			name string
			size float64
		}{{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}} {
			if v >= u.size {
				return strconv.FormatFloat(v/u.size, 'g', 3, 64) + " " + u.name
			}
		}
	}
	if v >= 1e4 && v < 1e12 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// roundDuration rounds a duration to about three digits.
func roundDuration(d time.Duration) time.Duration {
	for unit := 1000 * time.Second; unit >= time.Microsecond; unit /= 10 {
		if d >= 100*unit {
			return d.Round(unit)
		}
	}
	return d.Round(time.Microsecond / 10)
}
