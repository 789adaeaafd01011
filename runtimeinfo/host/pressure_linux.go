package host

import (
	"math"
	"path/filepath"
	"strings"
)

func readSystemPressure(f *files, root string, s *Sample) error {
	dir := filepath.Join(root, "proc", "pressure")
	// Newer kernels also write a "full" line for the CPUs of the machine. It is
	// always zero: somebody runs when everybody else waits.
	cpu := f.pressure(dir, "cpu")
	memory := f.pressure(dir, "memory")
	io := f.pressure(dir, "io")
	put(s, SystemPressureCPUSome, cpu.some)
	put(s, SystemPressureMemorySome, memory.some)
	put(s, SystemPressureMemoryFull, memory.full)
	put(s, SystemPressureIOSome, io.some)
	put(s, SystemPressureIOFull, io.full)
	return f.takeErr()
}

// stall is the time in seconds that some, or all, tasks waited for a resource.
type stall struct{ some, full float64 }

func (f *files) pressure(path ...string) stall {
	text := f.text(path...)
	st := parsePressure(text)
	if text != "" && math.IsNaN(st.some) {
		f.malformed(path...)
	}
	return st
}

// parsePressure parses lines of the form
//
//	some avg10=0.00 avg60=0.00 avg300=0.00 total=56255326
//
// whose total is in microseconds.
func parsePressure(text string) stall {
	st := stall{some: math.NaN(), full: math.NaN()}
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		_, total, ok := strings.Cut(rest, " total=")
		switch {
		case !ok:
		case kind == "some":
			st.some = parseCount(total) / 1e6
		case kind == "full":
			st.full = parseCount(total) / 1e6
		}
	}
	return st
}
