// SPDX-License-Identifier: Apache-2.0

package baseline

import "math"

// Signal names one more number to watch: a metric by its key, or a gauge of the
// application's own by its name.
type Signal struct {
	// Metric is the [runtimeinfo.Metric.Key], or the name given to Gauge. Of a
	// counter its rate a second is watched.
	Metric string
	// Kind is what an anomaly of it looks like. Default [Steady].
	Kind Kind
	// Below watches for values that are too low: orders a minute, say.
	Below bool
	// Ceiling, if not zero, is a value at which there is an alarm whatever is
	// usual. A floor where Below is set.
	Ceiling float64
}

// row is one watched signal: what it is, and how much of a change matters.
type row struct {
	name  string
	unit  string
	group string // signals of a group share its number of alerts
	root  string // the root span's name, for signals of one
	kind  Kind
	below bool
	free  bool // of the application's own: its unit may change

	scale     float64 // a value below it is small: the difference to zero does not matter
	growth    float64 // with load never seen yet: 1 is as the load, 2 as its square
	tolerance float64 // the least sudden change that matters, in e-folds: 0.2 is 22 %
	creep     float64 // the least slow change that matters; 0 for what does not pile up
	ceiling   float64
	read      read
}

// read gets the value of a signal; NaN is none.
type read func(*look) float64

// Groups of signals.
const (
	groupGoroutines = "goroutines"
	groupScheduler  = "scheduler"
	groupGC         = "gc"
	groupMemory     = "memory"
	groupCPU        = "cpu"
	groupRequests   = "requests"
	groupUser       = "user"
)

// What signals tolerate, in e-folds.
const (
	slight = 0.15
	little = 0.2 // 22 %
	some   = 0.4 // half as much again
	much   = 0.5 // two thirds more
	hair   = 0.06
)

// defaults returns the signals of the process that are watched by default, each
// with why. Scales are what an idle service has or less: nobody minds a change
// from 3 µs to 30 µs.
func defaults() []row {
	return []row{
		// The explosion itself. They grow with the load and with how long each request takes.
		{name: "goroutines", unit: "{goroutine}", group: groupGoroutines, scale: 10, growth: 2, tolerance: little, creep: slight, read: number("gmpulse.goroutine.user")},
		// What it is made of: CPU that is short (runnable), blocking (waiting), syscalls and cgo (not-in-go).
		{name: "goroutines.running", unit: "{goroutine}", group: groupGoroutines, kind: Spiky, scale: 1, growth: 2, tolerance: much, read: number("gmpulse.pulse.goroutines.mean.running")},
		{name: "goroutines.runnable", unit: "{goroutine}", group: groupGoroutines, kind: Spiky, scale: 5, growth: 2, tolerance: much, read: number("gmpulse.pulse.goroutines.mean.runnable")},
		{name: "goroutines.waiting", unit: "{goroutine}", group: groupGoroutines, scale: 10, growth: 2, tolerance: little, creep: slight, read: number("gmpulse.pulse.goroutines.mean.waiting")},
		{name: "goroutines.not_in_go", unit: "{goroutine}", group: groupGoroutines, kind: Spiky, scale: 5, growth: 2, tolerance: much, read: number("gmpulse.pulse.goroutines.mean.not_in_go")},
		// Churn that the count does not show.
		{name: "goroutines.created", unit: "{goroutine}/s", group: groupGoroutines, scale: 50, growth: 1, tolerance: some, read: rate("gmpulse.goroutine.creations")},
		// Work that waits for a processor, and what it pays for that.
		{name: "scheduler.runnable_per_processor", unit: "{goroutine}", group: groupScheduler, kind: Spiky, scale: 1, growth: 2, tolerance: much, read: number("gmpulse.pulse.runnable_per_processor.mean")},
		{name: "scheduler.latency.p99", unit: "s", group: groupScheduler, kind: Spiky, scale: 200e-6, growth: 2, tolerance: much, read: number("gmpulse.schedule.duration.p99")},
		// The canary: the agent's own goroutine is late when everybody's is.
		{name: "scheduler.lateness", unit: "s", group: groupScheduler, kind: Spiky, scale: 2e-3, growth: 2, tolerance: much, read: lateness},
		// Collection that eats the CPU: of the last cycle, not since the start.
		{name: "gc.cpu", unit: "1", group: groupGC, kind: Spiky, scale: 0.01, growth: 1, tolerance: much, read: gcShare()},
		{name: "gc.pause", unit: "s", group: groupGC, kind: Spiky, scale: 200e-6, growth: 1, tolerance: much, read: number("gmpulse.gc.pause.max")},
		// The line that a memory leak draws; it says something new only when a cycle ends.
		{name: "memory.heap_live", unit: "By", group: groupMemory, scale: 4 << 20, growth: 1, tolerance: little, creep: hair, read: perCycle(number("gmpulse.gc.heap_live"))},
		// How near the wall is: the container's, GOMEMLIMIT or the machine.
		{name: "memory.resident", unit: "1", group: groupMemory, scale: 0.01, growth: 1, tolerance: little, creep: hair, read: perHostPass(residentShare)},
		// Latency that looks like nothing: the process did not run.
		{name: "cpu.throttled", unit: "1", group: groupCPU, kind: Spiky, scale: 0.01, growth: 2, tolerance: much, read: perHostPass(rate("gmpulse.cgroup.cpu.throttled.time"))},
	}
}

// perRoot returns the signals of one root span by name.
func perRoot(root string) []row {
	return []row{
		// What the caller feels, in the middle and at the end.
		{name: "root_span.p50 " + root, unit: "s", group: groupRequests, root: root, scale: 500e-6, growth: 1, tolerance: some, read: spanQuantile(0.5)},
		{name: "root_span.p99 " + root, unit: "s", group: groupRequests, root: root, scale: 1e-3, growth: 1, tolerance: much, kind: Spiky, read: spanQuantile(0.99)},
		// Requests that pile up are seen here even when none ends.
		{name: "root_span.active " + root, unit: "{span}", group: groupRequests, root: root, scale: 5, growth: 2, tolerance: much, read: func(l *look) float64 { return float64(l.group.Active) }},
	}
}

// activeRow is the one of perRoot that has a value at every tick.
const activeRow = 2

// row makes the row of a signal that a user asks for.
func (s Signal) row() row {
	r := row{
		name: s.Metric, group: groupUser, kind: s.Kind, below: s.Below, free: true,
		growth: 1, tolerance: little, creep: slight, ceiling: s.Ceiling, read: userNumber(s.Metric),
	}
	if s.Kind == Spiky {
		r.tolerance, r.creep = much, 0
	}
	return r
}

// residentShare is the resident memory as a share of the nearest limit.
func residentShare(l *look) float64 {
	limit := l.number("system.memory.limit")
	for _, key := range [...]string{"gmpulse.cgroup.memory.max", "go.memory.limit"} {
		if v := l.number(key); !math.IsNaN(v) && !(v > limit) {
			limit = v
		}
	}
	return l.number("process.memory.usage") / limit
}
