// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"slices"

	"github.com/gmpulse/gmpulse/internal/hostfield"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func schedulerRows() []row {
	return in(runtimeinfo.SubsystemScheduler, slices.Concat(goroutineRows(), pulseRows(), processorRows()))
}

func goroutineRows() []row {
	return append([]row{
		// Since Go 1.26 the number includes the goroutines of the runtime.
		{runtimeinfo.Metric{Name: "go.goroutine.count", Unit: "{goroutine}", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Help: "Live goroutines, including the goroutines of the runtime."}, computed(func(r *reading) float64 { return r.sched.total })},
		// Comparable with go_goroutines and with older Go releases.
		{runtimeinfo.Metric{Name: "gmpulse.goroutine.user", Unit: "{goroutine}", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Headline: true, Help: "Live goroutines without the goroutines of the runtime (runtime.NumGoroutine)."}, computed(func(r *reading) float64 { return r.sched.user })},
		// The rate distinguishes many short goroutines from a growing number.
		{runtimeinfo.Metric{Name: "gmpulse.goroutine.creations", Unit: "{goroutine}", Kind: runtimeinfo.KindCounter, Help: "Goroutines created since the process started."}, rt("/sched/goroutines-created:goroutines")},
	},
		// Many runnable goroutines lack CPU; many waiting ones are blocked.
		perState(runtimeinfo.Metric{Name: "gmpulse.scheduler.goroutines", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Help: "Goroutines by state. Approximate: the states are not read at the same time and do not sum to the total."}, func(r *reading, s goroutineState) float64 { return r.sched.states[s] })...)
}

// pulseRows returns the rows of the pulses, which show peaks between ticks.
func pulseRows() []row {
	return slices.Concat(
		perState(runtimeinfo.Metric{Name: "gmpulse.pulse.goroutines.min", Kind: runtimeinfo.KindGauge, Detail: true, Help: "Fewest goroutines in a state at any pulse since the last tick."}, func(r *reading, s goroutineState) float64 { return r.pulse.states[s].min }),
		perState(runtimeinfo.Metric{Name: "gmpulse.pulse.goroutines.mean", Kind: runtimeinfo.KindGauge, Detail: true, Help: "Mean of goroutines in a state over the pulses since the last tick."}, func(r *reading, s goroutineState) float64 { return r.pulse.states[s].mean() }),
		perState(runtimeinfo.Metric{Name: "gmpulse.pulse.goroutines.max", Kind: runtimeinfo.KindGauge, Ranged: true, Help: "Most goroutines in a state at any pulse since the last tick."}, func(r *reading, s goroutineState) float64 { return r.pulse.states[s].max }),
		[]row{
			{runtimeinfo.Metric{Name: "gmpulse.pulse.runnable_per_processor.min", Unit: "{goroutine}", Kind: runtimeinfo.KindGauge, Detail: true, Help: "Fewest runnable goroutines per P at any pulse since the last tick."}, computed(func(r *reading) float64 { return r.pulse.perP.min })},
			{runtimeinfo.Metric{Name: "gmpulse.pulse.runnable_per_processor.mean", Unit: "{goroutine}", Kind: runtimeinfo.KindGauge, Help: "Mean of runnable goroutines per P over the pulses since the last tick."}, computed(func(r *reading) float64 { return r.pulse.perP.mean() })},
			{runtimeinfo.Metric{Name: "gmpulse.pulse.runnable_per_processor.max", Unit: "{goroutine}", Kind: runtimeinfo.KindGauge, Ranged: true, Headline: true, Help: "Most runnable goroutines per P at any pulse since the last tick."}, computed(func(r *reading) float64 { return r.pulse.perP.max })},
			// Cumulative, so that a scrape every 15 s includes a peak of 100 ms.
			{runtimeinfo.Metric{Name: "gmpulse.pulse.runnable_per_processor.distribution", Unit: "{goroutine}", Kind: runtimeinfo.KindHistogram, Help: "Runnable goroutines per P at each pulse."}, &source{pulses: true}},
			// The goroutines of the application have similar delays. The mean distinguishes a process that is
			// stopped repeatedly from one that was stopped once.
			{runtimeinfo.Metric{Name: "gmpulse.pulse.lateness.mean", Unit: "s", Kind: runtimeinfo.KindGauge, Detail: true, Help: "Mean delay with which the agent's goroutine woke up for the pulses since the last tick."}, computed(func(r *reading) float64 { return r.pulse.lateness.mean() })},
			{runtimeinfo.Metric{Name: "gmpulse.pulse.lateness.max", Unit: "s", Kind: runtimeinfo.KindGauge, Ranged: true, Detail: true, Help: "Greatest delay with which the agent's goroutine woke up for a pulse since the last tick."}, computed(func(r *reading) float64 { return r.pulse.lateness.max })},
		})
}

func processorRows() []row {
	processors := []row{
		// Blocking system calls and cgo need more threads. The runtime never ends a thread.
		{runtimeinfo.Metric{Name: "gmpulse.threads", Unit: "{thread}", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Headline: true, Help: "Threads (M) owned by the Go runtime."}, rt("/sched/threads/total:threads")},
		// The load average of the scheduler: above 1 goroutines wait for a P.
		{runtimeinfo.Metric{Name: "gmpulse.runnable.per_processor", Unit: "{goroutine}", Kind: runtimeinfo.KindGauge, Ranged: true, Detail: true, Help: "Runnable goroutines per P (GOMAXPROCS)."}, computed(func(r *reading) float64 { return r.sched.runnablePerP() })},
		// The number of Ps, for which runnable goroutines wait.
		{runtimeinfo.Metric{Name: "go.processor.limit", Unit: "{thread}", Kind: runtimeinfo.KindUpDownCounter, Headline: true, Help: "Threads that may run Go code at once (GOMAXPROCS)."}, rt("/sched/gomaxprocs:threads")},
	}
	usable := hostRows(hostfield.CPUUsable, hostfield.CPUUsable)
	latency := []row{
		// The delay of every request if there are not enough Ps. Not comparable between Go 1.25 and 1.26, which sample differently.
		{runtimeinfo.Metric{Name: "go.schedule.duration", Unit: "s", Kind: runtimeinfo.KindHistogram, Help: "Time that goroutines were runnable before they ran; sampled by the runtime; sum estimated."}, distribution(keyLatency)},
		{runtimeinfo.Metric{Name: "gmpulse.schedule.duration.p50", Unit: "s", Kind: runtimeinfo.KindGauge, Detail: true, Help: "Median scheduling latency of the last tick; absent when nothing was sampled."}, quantile(0.5, keyLatency)},
		{runtimeinfo.Metric{Name: "gmpulse.schedule.duration.p99", Unit: "s", Kind: runtimeinfo.KindGauge, Ranged: true, Headline: true, Detail: true, Help: "99th percentile of scheduling latency in the last tick; absent when nothing was sampled."}, quantile(0.99, keyLatency)},
		{runtimeinfo.Metric{Name: "gmpulse.schedule.duration.max", Unit: "s", Kind: runtimeinfo.KindGauge, Ranged: true, Detail: true, Help: "Upper bound of the greatest scheduling latency in the last tick; absent when nothing was sampled."}, quantile(1, keyLatency)},
		// Lock contention of the whole process, without a mutex profile.
		{runtimeinfo.Metric{Name: "gmpulse.mutex.wait.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "Time goroutines spent blocked on sync.Mutex, sync.RWMutex and runtime locks; sampled by the runtime."}, rt("/sync/mutex/wait/total:seconds")},
		// A cgo call occupies a thread. Explains a growing number of threads.
		{runtimeinfo.Metric{Name: "gmpulse.cgo.calls", Unit: "{call}", Kind: runtimeinfo.KindCounter, Detail: true, Help: "Calls from Go to C."}, rt("/cgo/go-to-c-calls:calls")},
		// The goroutines of the application have similar delays.
		{runtimeinfo.Metric{Name: "gmpulse.tick.lateness", Unit: "s", Kind: runtimeinfo.KindGauge, Detail: true, Help: "Delay with which the agent's goroutine woke up for this tick."}, computed(func(r *reading) float64 { return r.tick.Lateness.Seconds() })},
		// Numbers of the runtime can become negative in Go 1.26.
		{runtimeinfo.Metric{Name: "gmpulse.repairs", Unit: "{repair}", Kind: runtimeinfo.KindCounter, Detail: true, Help: "Impossible scheduler values that were repaired."}, computed(func(r *reading) float64 { return float64(r.repairs) })},
	}
	return slices.Concat(processors, usable, latency)
}

func memoryRows() []row {
	return in(runtimeinfo.SubsystemMemory, []row{
		// The memory to which GOMEMLIMIT applies, by the types of the semantic conventions.
		{runtimeinfo.Metric{Name: "go.memory.used", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Help: helpMemoryUsed, Attr: attr("go.memory.type", "stack")}, rt("/memory/classes/heap/stacks:bytes")},
		{runtimeinfo.Metric{Name: "go.memory.used", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Help: helpMemoryUsed, Attr: attr("go.memory.type", "other")}, rt("/memory/classes/total:bytes").minus("/memory/classes/heap/released:bytes", "/memory/classes/heap/stacks:bytes")},
		// Absent without a limit, which the runtime reports as 9.2e18.
		{runtimeinfo.Metric{Name: "go.memory.limit", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Soft memory limit of the runtime (GOMEMLIMIT); absent when unset."}, rt("/gc/gomemlimit:bytes")},
		// The distance to each of the two limits.
		{runtimeinfo.Metric{Name: "gmpulse.memory.headroom", Unit: "By", Kind: runtimeinfo.KindGauge, Ranged: true, Headline: true, Help: helpHeadroom, Attr: attr("gmpulse.memory.limit", "gomemlimit")}, rt("/gc/gomemlimit:bytes", "/memory/classes/heap/released:bytes").minus("/memory/classes/total:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.headroom", Unit: "By", Kind: runtimeinfo.KindGauge, Ranged: true, Headline: true, Help: helpHeadroom, Attr: attr("gmpulse.memory.limit", "container")}, computed(containerHeadroom)},
		// The rate determines how often the garbage collector runs.
		{runtimeinfo.Metric{Name: "go.memory.allocated", Unit: "By", Kind: runtimeinfo.KindCounter, Help: "Bytes allocated to the heap (MemStats.TotalAlloc)."}, rt("/gc/heap/allocs:bytes")},
		{runtimeinfo.Metric{Name: "go.memory.allocations", Unit: "{allocation}", Kind: runtimeinfo.KindCounter, Help: "Heap allocations, tiny ones excluded."}, rt("/gc/heap/allocs:objects")},
		// Together with allocations: MemStats.Mallocs and Frees.
		{runtimeinfo.Metric{Name: "gmpulse.memory.tiny_allocations", Unit: "{allocation}", Kind: runtimeinfo.KindCounter, Detail: true, Help: "Allocations served from shared tiny blocks."}, rt("/gc/heap/tiny/allocs:objects")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.frees", Unit: "{object}", Kind: runtimeinfo.KindCounter, Detail: true, Help: "Heap objects freed, tiny ones excluded."}, rt("/gc/heap/frees:objects")},
		// The other values of MemStats, under their names there.
		{runtimeinfo.Metric{Name: "gmpulse.memory.heap_alloc", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Headline: true, Help: "Heap objects, live or not yet swept (MemStats.HeapAlloc and Alloc)."}, rt("/memory/classes/heap/objects:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.heap_inuse", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Heap spans in use (MemStats.HeapInuse)."}, rt("/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.heap_idle", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Heap spans not in use (MemStats.HeapIdle)."}, rt("/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.heap_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Address space of the heap (MemStats.HeapSys)."}, rt("/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.heap_released", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Heap memory returned to the system (MemStats.HeapReleased)."}, rt("/memory/classes/heap/released:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.heap_objects", Unit: "{object}", Kind: runtimeinfo.KindUpDownCounter, Help: "Heap objects, live or not yet swept (MemStats.HeapObjects)."}, rt("/gc/heap/objects:objects")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.stack_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Memory of goroutine and thread stacks (MemStats.StackSys)."}, rt("/memory/classes/heap/stacks:bytes", "/memory/classes/os-stacks:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.mspan_inuse", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Span structures in use (MemStats.MSpanInuse)."}, rt("/memory/classes/metadata/mspan/inuse:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.mspan_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Memory of span structures (MemStats.MSpanSys)."}, rt("/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/mspan/free:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.mcache_inuse", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Per-P caches in use (MemStats.MCacheInuse)."}, rt("/memory/classes/metadata/mcache/inuse:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.mcache_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Memory of per-P caches (MemStats.MCacheSys)."}, rt("/memory/classes/metadata/mcache/inuse:bytes", "/memory/classes/metadata/mcache/free:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.buck_hash_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Memory of profiling hash tables (MemStats.BuckHashSys)."}, rt("/memory/classes/profiling/buckets:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.gc_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Memory of collector metadata (MemStats.GCSys)."}, rt("/memory/classes/metadata/other:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.other_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Memory of other runtime structures (MemStats.OtherSys)."}, rt("/memory/classes/other:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "All memory obtained from the system by the runtime (MemStats.Sys)."}, rt("/memory/classes/total:bytes")},
	})
}

func gcRows() []row {
	return in(runtimeinfo.SubsystemGC, []row{
		// The next cycle begins before the heap reaches it (MemStats.NextGC).
		{runtimeinfo.Metric{Name: "go.memory.gc.goal", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Heap size target for the end of the collection cycle."}, rt("/gc/heap/goal:bytes")},
		// The rate shows how often the collector runs (MemStats.NumGC).
		{runtimeinfo.Metric{Name: "go.memory.gc.cycles", Unit: "{gc_cycle}", Kind: runtimeinfo.KindCounter, Headline: true, Help: "Completed collection cycles."}, rt("/gc/cycles/total:gc-cycles")},
		// Calls of runtime.GC (MemStats.NumForcedGC).
		{runtimeinfo.Metric{Name: "gmpulse.gc.forced_cycles", Unit: "{gc_cycle}", Kind: runtimeinfo.KindCounter, Detail: true, Help: "Completed collection cycles forced by the application."}, rt("/gc/cycles/forced:gc-cycles")},
		// Each pause delays all requests.
		{runtimeinfo.Metric{Name: "go.memory.gc.pause.duration", Unit: "s", Kind: runtimeinfo.KindHistogram, Help: "Stop-the-world pauses of the collector; sum estimated."}, distribution(keyPauseGC)},
		{runtimeinfo.Metric{Name: "gmpulse.gc.pause.p50", Unit: "s", Kind: runtimeinfo.KindGauge, Detail: true, Help: "Median collector pause of the last tick; absent without one."}, quantile(0.5, keyPauseGC)},
		{runtimeinfo.Metric{Name: "gmpulse.gc.pause.p99", Unit: "s", Kind: runtimeinfo.KindGauge, Detail: true, Help: "99th percentile of collector pauses in the last tick; absent without one."}, quantile(0.99, keyPauseGC)},
		{runtimeinfo.Metric{Name: "gmpulse.gc.pause.max", Unit: "s", Kind: runtimeinfo.KindGauge, Ranged: true, Headline: true, Detail: true, Help: "Upper bound of the greatest collector pause in the last tick; absent without one."}, quantile(1, keyPauseGC)},
		// Exact, from debug.ReadGCStats, which does not stop the world (MemStats.PauseTotalNs).
		{runtimeinfo.Metric{Name: "gmpulse.gc.pause.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "Total time of collector pauses."}, computed(func(r *reading) float64 { return r.gc.PauseTotal.Seconds() })},
		// Caused by profiles, ReadMemStats and changes of GOMAXPROCS, for example of other agents.
		{runtimeinfo.Metric{Name: "gmpulse.stw.other.duration", Unit: "s", Kind: runtimeinfo.KindHistogram, Detail: true, Help: "Stop-the-world pauses for other reasons than collection; sum estimated."}, distribution(keyPauseOther)},
		{runtimeinfo.Metric{Name: "gmpulse.stw.other.p50", Unit: "s", Kind: runtimeinfo.KindGauge, Detail: true, Help: "Median of other stop-the-world pauses in the last tick; absent without one."}, quantile(0.5, keyPauseOther)},
		{runtimeinfo.Metric{Name: "gmpulse.stw.other.p99", Unit: "s", Kind: runtimeinfo.KindGauge, Detail: true, Help: "99th percentile of other stop-the-world pauses in the last tick; absent without one."}, quantile(0.99, keyPauseOther)},
		{runtimeinfo.Metric{Name: "gmpulse.stw.other.max", Unit: "s", Kind: runtimeinfo.KindGauge, Ranged: true, Detail: true, Help: "Upper bound of the greatest other stop-the-world pause in the last tick; absent without one."}, quantile(1, keyPauseOther)},
		// Grows continuously if there is a memory leak.
		{runtimeinfo.Metric{Name: "gmpulse.gc.heap_live", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Help: "Heap that the last collection found reachable."}, rt("/gc/heap/live:bytes")},
		// The work of a cycle is proportional to it.
		{runtimeinfo.Metric{Name: "gmpulse.gc.scan", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Memory that a collection must scan."}, rt("/gc/scan/total:bytes")},
		// The limiter exceeds the memory limit rather than spend more than half of the CPU time on collection.
		{runtimeinfo.Metric{Name: "gmpulse.gc.limiter_last_enabled", Unit: "{gc_cycle}", Kind: runtimeinfo.KindGauge, Fault: true, Help: "Cycle in which the collector's CPU limiter last acted; 0 is never."}, rt("/gc/limiter/last-enabled:gc-cycle")},
		// A finalizer that blocks delays all others and keeps their memory.
		{runtimeinfo.Metric{Name: "gmpulse.gc.finalizers_pending", Unit: "{finalizer}", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Finalizers queued and not yet run."}, rt("/gc/finalizers/queued:finalizers").minus("/gc/finalizers/executed:finalizers")},
		{runtimeinfo.Metric{Name: "gmpulse.gc.cleanups_pending", Unit: "{cleanup}", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Cleanups queued and not yet run."}, rt("/gc/cleanups/queued:cleanups").minus("/gc/cleanups/executed:cleanups")},
		// A long time ago if the process is idle or stuck (MemStats.LastGC).
		{runtimeinfo.Metric{Name: "gmpulse.gc.last.timestamp", Unit: "s", Kind: runtimeinfo.KindGauge, Detail: true, Help: "Unix time of the last collection; absent before the first."}, computed(lastGC)},
		// Absent when off, which the runtime reports as 1.8e19.
		{runtimeinfo.Metric{Name: "go.config.gogc", Unit: "%", Kind: runtimeinfo.KindUpDownCounter, Detail: true, Help: "Heap growth target (GOGC); absent when off."}, rt("/gc/gogc:percent")},
	})
}

func cpuRows() []row {
	return in(runtimeinfo.SubsystemCPU, []row{
		// The share of gmpulse.cpu.usable that is left. Logs and people cannot calculate rates of counters.
		{runtimeinfo.Metric{Name: "gmpulse.cpu.used", Unit: "{cpu}", Kind: runtimeinfo.KindGauge, Ranged: true, Headline: true, Detail: true, Help: "CPUs that the process used since the last tick, on average; absent on Windows."}, computed(func(r *reading) float64 { return r.cpu.used })},
		// Estimates of the runtime, which change only at the end of a cycle.
		{runtimeinfo.Metric{Name: "go.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Detail: true, Help: helpCPUTime, Attr: attr("go.cpu.state", "user")}, rt("/cpu/classes/user:cpu-seconds")},
		{runtimeinfo.Metric{Name: "go.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Detail: true, Help: helpCPUTime, Attr: attr("go.cpu.state", "gc")}, rt("/cpu/classes/gc/total:cpu-seconds")},
		{runtimeinfo.Metric{Name: "go.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Detail: true, Help: helpCPUTime, Attr: attr("go.cpu.state", "scavenge")}, rt("/cpu/classes/scavenge/total:cpu-seconds")},
		{runtimeinfo.Metric{Name: "go.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Detail: true, Help: helpCPUTime, Attr: attr("go.cpu.state", "idle")}, rt("/cpu/classes/idle:cpu-seconds")},
		// Allocating goroutines have to assist, which adds to their latency.
		{runtimeinfo.Metric{Name: "gmpulse.gc.assist.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "CPU time that goroutines spent assisting the collector; changes only when a collection ends."}, rt("/cpu/classes/gc/mark/assist:cpu-seconds")},
		// MemStats.GCCPUFraction.
		{runtimeinfo.Metric{Name: "gmpulse.gc.cpu", Unit: "1", Kind: runtimeinfo.KindGauge, Help: "Share of the available CPU time that collection used since the start; changes only when a collection ends."}, rt("/cpu/classes/gc/total:cpu-seconds").minus("/cpu/classes/gc/mark/idle:cpu-seconds").dividedBy("/cpu/classes/total:cpu-seconds")},
	})
}

const (
	keyLatency    = "/sched/latencies:seconds"
	keyPauseGC    = "/sched/pauses/total/gc:seconds"
	keyPauseOther = "/sched/pauses/total/other:seconds"

	helpMemoryUsed = "Memory used by the Go runtime."
	helpHeadroom   = "Memory left below a limit; absent without that limit."
	helpCPUTime    = "CPU time as estimated by the runtime; changes only when a collection ends."
)

// perState returns a row for each goroutine state.
func perState(metric runtimeinfo.Metric, of func(*reading, goroutineState) float64) []row {
	rows := make([]row, numStates)
	for s := range numStates {
		rows[s].Metric = metric
		rows[s].Unit = "{goroutine}"
		rows[s].Attr = attr("gmpulse.goroutine.state", s.String())
		rows[s].source = computed(func(r *reading) float64 { return of(r, s) })
	}
	return rows
}
