// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"slices"

	"github.com/gmpulse/gmpulse/internal/hostfield"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// What the Go runtime tells of itself. Keys are those of runtime/metrics.

func schedulerRows() []row {
	return in(runtimeinfo.SubsystemScheduler, slices.Concat(goroutineRows(), pulseRows(), processorRows()))
}

func goroutineRows() []row {
	return append([]row{
		// The number every Go dashboard starts with. Since Go 1.26 the runtime counts its own goroutines too.
		{runtimeinfo.Metric{Name: "go.goroutine.count", Unit: "{goroutine}", Kind: runtimeinfo.KindUpDownCounter, Help: "Live goroutines, those of the runtime included."}, computed(schedTotal)},
		// The application's share of it, comparable with go_goroutines and with older Go releases.
		{runtimeinfo.Metric{Name: "gmpulse.goroutine.user", Unit: "{goroutine}", Kind: runtimeinfo.KindUpDownCounter, Headline: true, Help: "Live goroutines without those of the runtime (runtime.NumGoroutine)."}, computed(schedUser)},
		// A leak is creation that outruns exit: the rate tells churn from growth.
		{runtimeinfo.Metric{Name: "gmpulse.goroutine.creations", Unit: "{goroutine}", Kind: runtimeinfo.KindCounter, Help: "Goroutines created since the process started."}, rt("/sched/goroutines-created:goroutines")},
	},
		// The states say what an explosion is made of: CPU starvation (runnable) or blocking (waiting).
		perState(runtimeinfo.Metric{Name: "gmpulse.scheduler.goroutines", Kind: runtimeinfo.KindUpDownCounter, Help: "Goroutines by state. Approximate: the states are not read at one instant and do not sum to the total."}, stateNow)...)
}

// pulseRows are the peaks between ticks: a burst of 50 ms is invisible to a
// gauge that is read once a second.
func pulseRows() []row {
	return slices.Concat(
		perState(runtimeinfo.Metric{Name: "gmpulse.pulse.goroutines.min", Kind: runtimeinfo.KindGauge, Help: "Fewest goroutines in a state at any pulse since the last tick."}, stateMin),
		perState(runtimeinfo.Metric{Name: "gmpulse.pulse.goroutines.mean", Kind: runtimeinfo.KindGauge, Help: "Mean of goroutines in a state over the pulses since the last tick."}, stateMean),
		perState(runtimeinfo.Metric{Name: "gmpulse.pulse.goroutines.max", Kind: runtimeinfo.KindGauge, Help: "Most goroutines in a state at any pulse since the last tick."}, stateMax),
		[]row{
			{runtimeinfo.Metric{Name: "gmpulse.pulse.runnable_per_processor.min", Unit: "{goroutine}", Kind: runtimeinfo.KindGauge, Help: "Fewest runnable goroutines per P at any pulse since the last tick."}, computed(func(r *reading) float64 { return r.pulse.perP.min })},
			{runtimeinfo.Metric{Name: "gmpulse.pulse.runnable_per_processor.mean", Unit: "{goroutine}", Kind: runtimeinfo.KindGauge, Help: "Mean of runnable goroutines per P over the pulses since the last tick."}, computed(func(r *reading) float64 { return r.pulse.perP.mean() })},
			{runtimeinfo.Metric{Name: "gmpulse.pulse.runnable_per_processor.max", Unit: "{goroutine}", Kind: runtimeinfo.KindGauge, Help: "Most runnable goroutines per P at any pulse since the last tick."}, computed(func(r *reading) float64 { return r.pulse.perP.max })},
			// Cumulative, so that a scrape every 15 s still sees a peak of 100 ms.
			{runtimeinfo.Metric{Name: "gmpulse.pulse.runnable_per_processor.distribution", Unit: "{goroutine}", Kind: runtimeinfo.KindHistogram, Help: "Runnable goroutines per P at each pulse."}, &source{pulses: true}},
			// A canary: our own goroutine feels what the application's feel. The mean tells a process that is
			// stopped again and again from one that was stopped once.
			{runtimeinfo.Metric{Name: "gmpulse.pulse.lateness.mean", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "How late the agent's goroutine woke on average for the pulses since the last tick."}, computed(func(r *reading) float64 { return r.pulse.lateness.mean() })},
			{runtimeinfo.Metric{Name: "gmpulse.pulse.lateness.max", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "How late the agent's goroutine woke at worst for a pulse since the last tick."}, computed(func(r *reading) float64 { return r.pulse.lateness.max })},
		})
}

func processorRows() []row {
	processors := []row{
		// Threads grow with blocking syscalls and cgo; each costs kernel memory and is never given back.
		{runtimeinfo.Metric{Name: "gmpulse.threads", Unit: "{thread}", Kind: runtimeinfo.KindUpDownCounter, Help: "Threads (M) owned by the Go runtime."}, rt("/sched/threads/total:threads")},
		// Queueing per processor is the scheduler's load average: above 1 work waits for a P.
		{runtimeinfo.Metric{Name: "gmpulse.runnable.per_processor", Unit: "{goroutine}", Kind: runtimeinfo.KindGauge, Help: "Runnable goroutines per P (GOMAXPROCS)."}, computed(runnablePerP)},
		// The P of GMP: what runnable goroutines queue for.
		{runtimeinfo.Metric{Name: "go.processor.limit", Unit: "{thread}", Kind: runtimeinfo.KindUpDownCounter, Headline: true, Help: "Threads that may run Go code at once (GOMAXPROCS)."}, rt("/sched/gomaxprocs:threads")},
	}
	usable := hostRows(hostfield.CPUUsable, hostfield.CPUUsable)
	latency := []row{
		// The delay that every request pays when Ps are short. Go 1.26 samples other moments than 1.25: do not compare across.
		{runtimeinfo.Metric{Name: "go.schedule.duration", Unit: "s", Kind: runtimeinfo.KindHistogram, Help: "Time goroutines spent runnable before they ran; sampled by the runtime; sum estimated."}, distribution(keyLatency)},
		{runtimeinfo.Metric{Name: "gmpulse.schedule.duration.p50", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "Median scheduling latency of the last tick; absent when nothing was sampled."}, quantile(0.5, keyLatency)},
		{runtimeinfo.Metric{Name: "gmpulse.schedule.duration.p99", Unit: "s", Kind: runtimeinfo.KindGauge, Headline: true, Help: "99th percentile of scheduling latency in the last tick; absent when nothing was sampled."}, quantile(0.99, keyLatency)},
		{runtimeinfo.Metric{Name: "gmpulse.schedule.duration.max", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "Upper bound of the greatest scheduling latency in the last tick; absent when nothing was sampled."}, quantile(1, keyLatency)},
		// Lock contention over the whole process, without a mutex profile.
		{runtimeinfo.Metric{Name: "gmpulse.mutex.wait.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "Time goroutines spent blocked on sync.Mutex, sync.RWMutex and runtime locks; sampled by the runtime."}, rt("/sync/mutex/wait/total:seconds")},
		// Cgo calls hold threads and hide from the scheduler: the first suspect when threads grow.
		{runtimeinfo.Metric{Name: "gmpulse.cgo.calls", Unit: "{call}", Kind: runtimeinfo.KindCounter, Help: "Calls from Go to C."}, rt("/cgo/go-to-c-calls:calls")},
		// A canary: our own goroutine feels what the application's feel.
		{runtimeinfo.Metric{Name: "gmpulse.tick.lateness", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "How late the agent's goroutine woke for this tick."}, computed(func(r *reading) float64 { return r.tick.Lateness.Seconds() })},
		// The runtime's numbers pass below zero in Go 1.26: how often.
		{runtimeinfo.Metric{Name: "gmpulse.repairs", Unit: "{repair}", Kind: runtimeinfo.KindCounter, Help: "Impossible scheduler values that were repaired."}, computed(func(r *reading) float64 { return float64(r.repairs) })},
	}
	return slices.Concat(processors, usable, latency)
}

func memoryRows() []row {
	return in(runtimeinfo.SubsystemMemory, []row{
		// What counts against GOMEMLIMIT, split as semantic conventions do.
		{runtimeinfo.Metric{Name: "go.memory.used", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: helpMemoryUsed, Attr: attr("go.memory.type", "stack")}, rt("/memory/classes/heap/stacks:bytes")},
		{runtimeinfo.Metric{Name: "go.memory.used", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: helpMemoryUsed, Attr: attr("go.memory.type", "other")}, rt("/memory/classes/total:bytes").minus("/memory/classes/heap/released:bytes", "/memory/classes/heap/stacks:bytes")},
		// Absent without a limit: a limit of 9.2e18 is a trap in every other exporter.
		{runtimeinfo.Metric{Name: "go.memory.limit", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Soft memory limit of the runtime (GOMEMLIMIT); absent when unset."}, rt("/gc/gomemlimit:bytes")},
		// How far it is to the wall, for both walls.
		{runtimeinfo.Metric{Name: "gmpulse.memory.headroom", Unit: "By", Kind: runtimeinfo.KindGauge, Help: helpHeadroom, Attr: attr("gmpulse.memory.limit", "gomemlimit")}, rt("/gc/gomemlimit:bytes", "/memory/classes/heap/released:bytes").minus("/memory/classes/total:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.headroom", Unit: "By", Kind: runtimeinfo.KindGauge, Help: helpHeadroom, Attr: attr("gmpulse.memory.limit", "container")}, computed(containerHeadroom)},
		// Allocation rate drives how often the collector runs.
		{runtimeinfo.Metric{Name: "go.memory.allocated", Unit: "By", Kind: runtimeinfo.KindCounter, Help: "Bytes allocated to the heap (MemStats.TotalAlloc)."}, rt("/gc/heap/allocs:bytes")},
		{runtimeinfo.Metric{Name: "go.memory.allocations", Unit: "{allocation}", Kind: runtimeinfo.KindCounter, Help: "Heap allocations, tiny ones excluded."}, rt("/gc/heap/allocs:objects")},
		// With the two above and frees: MemStats.Mallocs and Frees.
		{runtimeinfo.Metric{Name: "gmpulse.memory.tiny_allocations", Unit: "{allocation}", Kind: runtimeinfo.KindCounter, Help: "Allocations served from shared tiny blocks."}, rt("/gc/heap/tiny/allocs:objects")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.frees", Unit: "{object}", Kind: runtimeinfo.KindCounter, Help: "Heap objects freed, tiny ones excluded."}, rt("/gc/heap/frees:objects")},
		// The rest of the MemStats family, under Go's own terms, for people who think in them.
		{runtimeinfo.Metric{Name: "gmpulse.memory.heap_alloc", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Headline: true, Help: "Heap objects, live or not yet swept (MemStats.HeapAlloc and Alloc)."}, rt("/memory/classes/heap/objects:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.heap_inuse", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Heap spans in use (MemStats.HeapInuse)."}, rt("/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.heap_idle", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Heap spans not in use (MemStats.HeapIdle)."}, rt("/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.heap_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Address space of the heap (MemStats.HeapSys)."}, rt("/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.heap_released", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Heap memory returned to the system (MemStats.HeapReleased)."}, rt("/memory/classes/heap/released:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.heap_objects", Unit: "{object}", Kind: runtimeinfo.KindUpDownCounter, Help: "Heap objects, live or not yet swept (MemStats.HeapObjects)."}, rt("/gc/heap/objects:objects")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.stack_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Memory of goroutine and thread stacks (MemStats.StackSys)."}, rt("/memory/classes/heap/stacks:bytes", "/memory/classes/os-stacks:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.mspan_inuse", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Span structures in use (MemStats.MSpanInuse)."}, rt("/memory/classes/metadata/mspan/inuse:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.mspan_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Memory of span structures (MemStats.MSpanSys)."}, rt("/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/mspan/free:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.mcache_inuse", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Per-P caches in use (MemStats.MCacheInuse)."}, rt("/memory/classes/metadata/mcache/inuse:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.mcache_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Memory of per-P caches (MemStats.MCacheSys)."}, rt("/memory/classes/metadata/mcache/inuse:bytes", "/memory/classes/metadata/mcache/free:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.buck_hash_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Memory of profiling hash tables (MemStats.BuckHashSys)."}, rt("/memory/classes/profiling/buckets:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.gc_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Memory of collector metadata (MemStats.GCSys)."}, rt("/memory/classes/metadata/other:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.other_sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Memory of other runtime structures (MemStats.OtherSys)."}, rt("/memory/classes/other:bytes")},
		{runtimeinfo.Metric{Name: "gmpulse.memory.sys", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "All memory obtained from the system by the runtime (MemStats.Sys)."}, rt("/memory/classes/total:bytes")},
	})
}

func gcRows() []row {
	return in(runtimeinfo.SubsystemGC, []row{
		// Where the next collection begins (MemStats.NextGC): heap against goal shows pacing.
		{runtimeinfo.Metric{Name: "go.memory.gc.goal", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Heap size target for the end of the collection cycle."}, rt("/gc/heap/goal:bytes")},
		// A collection per second is a finding in itself (MemStats.NumGC).
		{runtimeinfo.Metric{Name: "go.memory.gc.cycles", Unit: "{gc_cycle}", Kind: runtimeinfo.KindCounter, Headline: true, Help: "Completed collection cycles."}, rt("/gc/cycles/total:gc-cycles")},
		// Someone calls runtime.GC: a classic in promoted copy-paste code (MemStats.NumForcedGC).
		{runtimeinfo.Metric{Name: "gmpulse.gc.forced_cycles", Unit: "{gc_cycle}", Kind: runtimeinfo.KindCounter, Help: "Completed collection cycles forced by the application."}, rt("/gc/cycles/forced:gc-cycles")},
		// The world stopped for the collector: each of these delays every request in flight.
		{runtimeinfo.Metric{Name: "go.memory.gc.pause.duration", Unit: "s", Kind: runtimeinfo.KindHistogram, Help: "Stop-the-world pauses of the collector; sum estimated."}, distribution(keyPauseGC)},
		{runtimeinfo.Metric{Name: "gmpulse.gc.pause.p50", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "Median collector pause of the last tick; absent without one."}, quantile(0.5, keyPauseGC)},
		{runtimeinfo.Metric{Name: "gmpulse.gc.pause.p99", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "99th percentile of collector pauses in the last tick; absent without one."}, quantile(0.99, keyPauseGC)},
		{runtimeinfo.Metric{Name: "gmpulse.gc.pause.max", Unit: "s", Kind: runtimeinfo.KindGauge, Headline: true, Help: "Upper bound of the greatest collector pause in the last tick; absent without one."}, quantile(1, keyPauseGC)},
		// Exact, from debug.ReadGCStats, which does not stop the world (MemStats.PauseTotalNs).
		{runtimeinfo.Metric{Name: "gmpulse.gc.pause.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "Total time of collector pauses."}, computed(func(r *reading) float64 { return r.gc.PauseTotal.Seconds() })},
		// The world stopped for anything else: profiles, ReadMemStats, GOMAXPROCS changes. Tells on other agents.
		{runtimeinfo.Metric{Name: "gmpulse.stw.other.duration", Unit: "s", Kind: runtimeinfo.KindHistogram, Help: "Stop-the-world pauses for anything but collection; sum estimated."}, distribution(keyPauseOther)},
		{runtimeinfo.Metric{Name: "gmpulse.stw.other.p50", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "Median of other stop-the-world pauses in the last tick; absent without one."}, quantile(0.5, keyPauseOther)},
		{runtimeinfo.Metric{Name: "gmpulse.stw.other.p99", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "99th percentile of other stop-the-world pauses in the last tick; absent without one."}, quantile(0.99, keyPauseOther)},
		{runtimeinfo.Metric{Name: "gmpulse.stw.other.max", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "Upper bound of the greatest other stop-the-world pause in the last tick; absent without one."}, quantile(1, keyPauseOther)},
		// What survives a collection: the line that a memory leak draws.
		{runtimeinfo.Metric{Name: "gmpulse.gc.heap_live", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Heap that the last collection found reachable."}, rt("/gc/heap/live:bytes")},
		// Marking work per cycle is proportional to this.
		{runtimeinfo.Metric{Name: "gmpulse.gc.scan", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Memory that a collection must scan."}, rt("/gc/scan/total:bytes")},
		// The limiter is the runtime giving up on its memory limit to save CPU: thrashing.
		{runtimeinfo.Metric{Name: "gmpulse.gc.limiter_last_enabled", Unit: "{gc_cycle}", Kind: runtimeinfo.KindGauge, Help: "Cycle in which the collector's CPU limiter last acted; 0 is never."}, rt("/gc/limiter/last-enabled:gc-cycle")},
		// A finalizer that blocks stalls all others and keeps their memory.
		{runtimeinfo.Metric{Name: "gmpulse.gc.finalizers_pending", Unit: "{finalizer}", Kind: runtimeinfo.KindUpDownCounter, Help: "Finalizers queued and not yet run."}, rt("/gc/finalizers/queued:finalizers").minus("/gc/finalizers/executed:finalizers")},
		{runtimeinfo.Metric{Name: "gmpulse.gc.cleanups_pending", Unit: "{cleanup}", Kind: runtimeinfo.KindUpDownCounter, Help: "Cleanups queued and not yet run."}, rt("/gc/cleanups/queued:cleanups").minus("/gc/cleanups/executed:cleanups")},
		// Long ago means a stuck or an idle process (MemStats.LastGC).
		{runtimeinfo.Metric{Name: "gmpulse.gc.last.timestamp", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "Unix time of the last collection; absent before the first."}, computed(lastGC)},
		// Misread as 1.8e19 elsewhere when collection is off.
		{runtimeinfo.Metric{Name: "go.config.gogc", Unit: "%", Kind: runtimeinfo.KindUpDownCounter, Help: "Heap growth target (GOGC); absent when off."}, rt("/gc/gogc:percent")},
	})
}

func cpuRows() []row {
	return in(runtimeinfo.SubsystemCPU, []row{
		// Where the runtime says its CPU time went. Estimates that move only when a collection ends.
		{runtimeinfo.Metric{Name: "go.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpCPUTime, Attr: attr("go.cpu.state", "user")}, rt("/cpu/classes/user:cpu-seconds")},
		{runtimeinfo.Metric{Name: "go.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpCPUTime, Attr: attr("go.cpu.state", "gc")}, rt("/cpu/classes/gc/total:cpu-seconds")},
		{runtimeinfo.Metric{Name: "go.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpCPUTime, Attr: attr("go.cpu.state", "scavenge")}, rt("/cpu/classes/scavenge/total:cpu-seconds")},
		{runtimeinfo.Metric{Name: "go.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpCPUTime, Attr: attr("go.cpu.state", "idle")}, rt("/cpu/classes/idle:cpu-seconds")},
		// Time that allocating goroutines were made to mark: collection felt as latency.
		{runtimeinfo.Metric{Name: "gmpulse.gc.assist.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "CPU time that goroutines spent assisting the collector; moves only when a collection ends."}, rt("/cpu/classes/gc/mark/assist:cpu-seconds")},
		// The collector's share of the CPU since start (MemStats.GCCPUFraction).
		{runtimeinfo.Metric{Name: "gmpulse.gc.cpu", Unit: "1", Kind: runtimeinfo.KindGauge, Help: "Share of the available CPU time that collection used since the start; moves only when a collection ends."}, rt("/cpu/classes/gc/total:cpu-seconds").minus("/cpu/classes/gc/mark/idle:cpu-seconds").dividedBy("/cpu/classes/total:cpu-seconds")},
	})
}

const (
	keyLatency    = "/sched/latencies:seconds"
	keyPauseGC    = "/sched/pauses/total/gc:seconds"
	keyPauseOther = "/sched/pauses/total/other:seconds"

	helpMemoryUsed = "Memory used by the Go runtime."
	helpHeadroom   = "Memory left below a limit; absent without that limit."
	helpCPUTime    = "CPU time by the runtime's estimate; moves only when a collection ends."
)

// perState makes one row for each goroutine state.
func perState(metric runtimeinfo.Metric, of func(goroutineState) *source) []row {
	rows := make([]row, numStates)
	for s := range numStates {
		rows[s].Metric = metric
		rows[s].Unit = "{goroutine}"
		rows[s].Attr = attr("gmpulse.goroutine.state", s.String())
		rows[s].source = of(s)
	}
	return rows
}
