// SPDX-License-Identifier: Apache-2.0

package baseline

// Shape is how a signal moves in normal operation. It decides what an anomaly is.
type Shape uint8

const (
	// Steady signals have a level, like memory, goroutines or latency. Rare values and
	// shifts of the level are anomalies; a single step counts little.
	Steady Shape = iota
	// Spiky signals jump in normal operation, like scheduling latency or pauses. A spike
	// must be sudden and large, or last, to be an anomaly.
	Spiky
)

// Signal is a metric or a gauge of the application to watch in addition to the default
// signals.
type Signal struct {
	// Metric is the [runtimeinfo.Metric.Key], or the name given to Gauge. For a counter its
	// rate per second is watched.
	Metric string
	// Shape is how the signal moves in normal operation. Default [Steady].
	Shape Shape
	// Below looks for low values, for example of orders per minute, instead of high ones.
	Below bool
	// Ceiling is a value that always raises an alarm; with Below it is a floor. Default 0:
	// no ceiling.
	Ceiling float64
}

// row describes a signal and which changes of it matter.
type row struct {
	name  string
	unit  string
	group string // signals of a group share its number of alerts
	root  string // name of the root span, or empty
	shape Shape
	below bool
	user  bool // of the application: its unit may change

	scale     float64 // smaller values are not distinguished from 0
	growth    float64 // under a load not seen yet: 1 is proportional to the load, 2 to its square
	tolerance float64 // minimum sudden change, in e-folds
	creep     float64 // minimum slow change, in e-folds; 0 for signals that do not accumulate
	ceiling   float64
	read      readFunc
}

// readFunc returns the value of a signal, NaN for none.
type readFunc func(*input) float64

const (
	groupGoroutines = "goroutines"
	groupScheduler  = "scheduler"
	groupGC         = "gc"
	groupMemory     = "memory"
	groupCPU        = "cpu"
	groupRequests   = "requests"
	groupUser       = "user"
)

// Tolerances, in e-folds.
const (
	change6  = 0.06 // 6 %
	change16 = 0.15
	change22 = 0.2
	change50 = 0.4
	change65 = 0.5
)

// defaultRows returns the signals of the process, each with the reason why it is watched.
// Scales are what an idle service has: a change from 3 µs to 30 µs does not matter.
func defaultRows() []row {
	return []row{
		// A goroutine explosion. The number grows with the load and the duration of each request.
		{name: "goroutines", unit: "{goroutine}", group: groupGoroutines, scale: 10, growth: 2, tolerance: change22, creep: change16, read: number("gmpulse.goroutine.user")},
		// The states show the reason: lack of CPU (runnable), blocking (waiting), syscalls and cgo (not in Go).
		{name: "goroutines.running", unit: "{goroutine}", group: groupGoroutines, shape: Spiky, scale: 1, growth: 2, tolerance: change65, read: number("gmpulse.pulse.goroutines.mean.running")},
		{name: "goroutines.runnable", unit: "{goroutine}", group: groupGoroutines, shape: Spiky, scale: 5, growth: 2, tolerance: change65, read: number("gmpulse.pulse.goroutines.mean.runnable")},
		{name: "goroutines.waiting", unit: "{goroutine}", group: groupGoroutines, scale: 10, growth: 2, tolerance: change22, creep: change16, read: number("gmpulse.pulse.goroutines.mean.waiting")},
		{name: "goroutines.not_in_go", unit: "{goroutine}", group: groupGoroutines, shape: Spiky, scale: 5, growth: 2, tolerance: change65, read: number("gmpulse.pulse.goroutines.mean.not_in_go")},
		// Churn that the count does not show.
		{name: "goroutines.created", unit: "{goroutine}/s", group: groupGoroutines, scale: 50, growth: 1, tolerance: change50, read: rate("gmpulse.goroutine.creations")},
		// Work that waits for a processor, and the delay that this causes.
		{name: "scheduler.runnable_per_processor", unit: "{goroutine}", group: groupScheduler, shape: Spiky, scale: 1, growth: 2, tolerance: change65, read: number("gmpulse.pulse.runnable_per_processor.mean")},
		{name: "scheduler.latency.p99", unit: "s", group: groupScheduler, shape: Spiky, scale: 200e-6, growth: 2, tolerance: change65, read: number("gmpulse.schedule.duration.p99")},
		// If gmpulse's own goroutine wakes up late, so do the application's.
		{name: "scheduler.lateness", unit: "s", group: groupScheduler, shape: Spiky, scale: 2e-3, growth: 2, tolerance: change65, read: lateness},
		// Garbage collection that uses up the CPU.
		{name: "gc.cpu", unit: "1", group: groupGC, shape: Spiky, scale: 0.01, growth: 1, tolerance: change65, read: gcShare()},
		{name: "gc.pause", unit: "s", group: groupGC, shape: Spiky, scale: 200e-6, growth: 1, tolerance: change65, read: number("gmpulse.gc.pause.max")},
		// Memory leaks. The live heap changes only at the end of a cycle.
		{name: "memory.heap_live", unit: "By", group: groupMemory, scale: 4 << 20, growth: 1, tolerance: change22, creep: change6, read: perCycle(number("gmpulse.gc.heap_live"))},
		// The distance to the limit: the container's, GOMEMLIMIT or the machine's.
		{name: "memory.resident", unit: "1", group: groupMemory, scale: 0.01, growth: 1, tolerance: change22, creep: change6, read: perHostPass(residentShare)},
		// Latency without a visible cause: the process did not run.
		{name: "cpu.throttled", unit: "1", group: groupCPU, shape: Spiky, scale: 0.01, growth: 2, tolerance: change65, read: perHostPass(rate("gmpulse.cgroup.cpu.throttled.time"))},
	}
}

// rootRows returns the signals of the root spans of one name.
func rootRows(root string) []row {
	return []row{
		// The latency that callers see.
		{name: "root_span.p50 " + root, unit: "s", group: groupRequests, root: root, scale: 500e-6, growth: 1, tolerance: change50, read: spanQuantile(0.5)},
		{name: "root_span.p99 " + root, unit: "s", group: groupRequests, root: root, scale: 1e-3, growth: 1, tolerance: change65, shape: Spiky, read: spanQuantile(0.99)},
		// Requests that accumulate, even if none ends.
		{name: "root_span.active " + root, unit: "{span}", group: groupRequests, root: root, scale: 5, growth: 2, tolerance: change65, read: func(in *input) float64 { return float64(in.group.Active) }},
	}
}

// activeRow is the index in rootRows of the signal that has a value at every tick.
const activeRow = 2

func (s Signal) row() row {
	r := row{
		name: s.Metric, group: groupUser, shape: s.Shape, below: s.Below, user: true,
		growth: 1, tolerance: change22, creep: change16, ceiling: s.Ceiling, read: numberOrRate(s.Metric),
	}
	if s.Shape == Spiky {
		r.tolerance, r.creep = change65, 0
	}
	return r
}
