// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"math"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// readSystemPressure reads /proc/pressure.
func readSystemPressure(dir *directory, s *Sample) error {
	// Newer kernels also write a "full" line for the CPUs of the machine, which is always
	// zero: some task is running.
	cpu := dir.pressure("cpu")
	memory := dir.pressure("memory")
	io := dir.pressure("io")
	put(s, hostfield.SystemPressureCPUSome, cpu.some)
	put(s, hostfield.SystemPressureMemorySome, memory.some)
	put(s, hostfield.SystemPressureMemoryFull, memory.full)
	put(s, hostfield.SystemPressureIOSome, io.some)
	put(s, hostfield.SystemPressureIOFull, io.full)
	return dir.files.takeErr()
}

// stall has the times in seconds that some or all tasks waited for a resource.
type stall struct{ some, full float64 }

func (d *directory) pressure(name string) stall {
	text := d.text(name)
	st := parsePressure(text)
	if len(text) > 0 && math.IsNaN(st.some) {
		d.malformed(name)
	}
	return st
}

// parsePressure parses lines of the form
//
//	some avg10=0.00 avg60=0.00 avg300=0.00 total=56255326
//
// whose total is in microseconds.
func parsePressure(text []byte) stall {
	st := stall{some: math.NaN(), full: math.NaN()}
	for line := range bytes.Lines(text) {
		kind, rest, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		_, total, ok := bytes.Cut(rest, []byte(" total="))
		switch {
		case !ok:
		case string(kind) == "some":
			st.some = parseCount(total) / 1e6
		case string(kind) == "full":
			st.full = parseCount(total) / 1e6
		}
	}
	return st
}
