// SPDX-License-Identifier: Apache-2.0

package compare

import "slices"

// Keys of the records.
const (
	keyEnded     = "gmpulse.root_spans.ended"
	keyStarted   = "gmpulse.root_spans.started" // the only one in a compact record
	keyActive    = "span.active"
	keyInterval  = "interval"
	keyCPU       = "gmpulse.cpu.used"
	keyMaxProcs  = "go.processor.limit"
	keyMachine   = "system.cpu.logical.count"
	keyAllocated = "go.memory.allocated"
	keyObjects   = "go.memory.allocations"
	keyCycles    = "go.memory.gc.cycles"
	keyPauses    = "gmpulse.gc.pause.time"
	keyGCTime    = "go.cpu.time.gc"
	keyRoutines  = "gmpulse.goroutine.user"
	keyFiles     = "process.unix.file_descriptor.count"
	keyResident  = "process.memory.usage"
	keyHeap      = "gmpulse.memory.heap_alloc"
)

// machineBusy are the counters of the CPU time that the machine does not have for others, and
// processBusy the counters of the process. The same pass reads both.
func machineBusy() []string {
	return []string{"system.cpu.time.user", "system.cpu.time.nice", "system.cpu.time.system", "system.cpu.time.interrupt", "system.cpu.time.steal"}
}

func processBusy() []string { return []string{"process.cpu.time.user", "process.cpu.time.system"} }

// keys returns all keys that a sample keeps.
func keys() []string {
	all := slices.Concat([]string{
		keyEnded, keyStarted, keyActive, keyInterval, keyCPU, keyMaxProcs, keyMachine, keyAllocated, keyObjects,
		keyCycles, keyPauses, keyGCTime, keyRoutines, keyFiles, keyResident, keyHeap,
	}, machineBusy(), processBusy())
	for _, gauge := range []string{keyCPU, keyRoutines, keyResident, keyHeap} {
		all = append(all, gauge+"_mean")
	}
	return all
}

// direction is the change of a quantity that is a regression.
type direction int

const (
	neutral     direction = iota // neither: it depends on the load, or on another quantity that is compared
	less                         // less is better
	lessIfQuiet                  // the same, but it depends on durations, and these on other processes
)

// quantity is one row of the comparison of two processes.
type quantity struct {
	name, unit string
	y          func(*step) (float64, bool)
	per        per
	better     direction
	// least is the smallest difference that matters, in the unit. Two runs of a service never
	// have quite the same number of connections or free pages.
	least float64
}

// per is what the sum of a quantity is divided by.
type per int

const (
	perRequest per = iota
	perSecond
	perCycle
)

// cpu returns the CPU seconds of the process. On a system without the CPU time of each tick it uses the
// last pass over the host, which is up to ten seconds old.
func cpu(s *step) (float64, bool) {
	if v, ok := s.mean(keyCPU); ok {
		// If more than one record is missing in between, the value is of too small a part of the time.
		covered, known := s.cur.values[keyInterval]
		return v * s.seconds, !known || covered > 0.45*s.seconds
	}
	return s.counters(processBusy())
}

func quantities() []quantity {
	counter := func(key string) func(*step) (float64, bool) {
		return func(s *step) (float64, bool) { return s.counter(key) }
	}
	gauge := func(key string) func(*step) (float64, bool) { // multiplied by the time, so that per second is the mean
		return func(s *step) (float64, bool) {
			v, ok := s.mean(key)
			return v * s.seconds, ok
		}
	}
	const megabytes = 1e6
	return []quantity{
		{name: "CPU", unit: "s", y: cpu, better: less},
		{name: "allocated bytes", unit: "By", y: counter(keyAllocated), better: less},
		{name: "allocated objects", unit: "{object}", y: counter(keyObjects), better: less},
		{name: "GC CPU", unit: "s", y: counter(keyGCTime)}, // part of the CPU; the runtime reports it at the end of a cycle
		{name: "GC cycles", unit: "{cycle}", y: counter(keyCycles), per: perSecond},
		{name: "GC pause", unit: "s", y: counter(keyPauses), per: perCycle},
		{name: "goroutines", unit: "{goroutine}", y: gauge(keyRoutines), per: perSecond, better: lessIfQuiet, least: 10},
		{name: "file descriptors", unit: "{file_descriptor}", y: gauge(keyFiles), per: perSecond, better: lessIfQuiet, least: 10},
		{name: "resident memory", unit: "By", y: gauge(keyResident), per: perSecond, better: less, least: 16 * megabytes},
		{name: "heap", unit: "By", y: gauge(keyHeap), per: perSecond, better: less, least: 16 * megabytes},
		{name: "requests in flight", unit: "{span}", y: gauge(keyActive), per: perSecond},
	}
}
