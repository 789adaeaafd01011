// SPDX-License-Identifier: Apache-2.0

// Package units formats values of metrics, and long texts, for people.
package units

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Format returns a value with its UCUM unit in about three digits: 41 MB, 3.1s, 12 %. Of other units
// it returns only the number.
func Format(v float64, unit string) string {
	switch unit {
	case "s":
		return seconds(v)
	case "1":
		return number(100*v, 3) + " %"
	case "By":
		for _, u := range [...]struct {
			name string
			size float64
		}{{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}} {
			if math.Abs(v) >= u.size {
				return number(v/u.size, 3) + " " + u.name
			}
		}
	}
	return number(v, 4)
}

// seconds returns a number of seconds as a duration.
func seconds(v float64) string {
	if math.Abs(v) > 1e9 { // 30 years; a time.Duration ends at 292
		return number(v, 4) + "s"
	}
	d := time.Duration(v * float64(time.Second))
	step := time.Duration(1)
	for step < time.Second && d.Abs() >= 1000*step {
		step *= 10
	}
	text := d.Round(step).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// number returns v with so many digits. A whole number, and a number from 10,000 on, has all digits
// before the decimal point.
func number(v float64, digits int) string {
	const exponentFrom = 1e12
	if a := math.Abs(v); a < exponentFrom && (v == math.Trunc(v) || a >= 1e4) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', digits, 64)
}

// Shorten returns s, or its beginning and an ellipsis if it is longer than limit bytes. It cuts no
// character in two.
func Shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
