// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"math"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// readSystemPressure reads /proc/pressure.
func readSystemPressure(dir directory, s *Sample) {
	// Newer kernels also write a "full" line for the CPUs of the machine, which is always
	// zero: some task is running.
	dir.putPressure(s, "cpu", hostfield.SystemPressureCPUSome)
	dir.putPressure(s, "memory", hostfield.SystemPressureMemorySome, hostfield.SystemPressureMemoryFull)
	dir.putPressure(s, "io", hostfield.SystemPressureIOSome, hostfield.SystemPressureIOFull)
}

// putPressure sets fields to the times in seconds that some and all tasks waited for a resource.
func (d directory) putPressure(s *Sample, file string, some hostfield.Field, full ...hostfield.Field) {
	text := d.text(file)
	ofSome, ofFull := parsePressure(text)
	put(s, some, ofSome)
	for _, f := range full {
		put(s, f, ofFull)
	}
	if len(text) > 0 && math.IsNaN(ofSome) {
		d.malformed(file)
	}
}

// parsePressure parses lines of the form
//
//	some avg10=0.00 avg60=0.00 avg300=0.00 total=56255326
//
// whose total is in microseconds.
func parsePressure(text []byte) (some, full float64) {
	some, full = math.NaN(), math.NaN()
	for line := range bytes.Lines(text) {
		kind, rest, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		_, total, ok := bytes.Cut(rest, []byte(" total="))
		switch {
		case !ok:
		case string(kind) == "some":
			some = parseCount(total) / 1e6
		case string(kind) == "full":
			full = parseCount(total) / 1e6
		}
	}
	return some, full
}
