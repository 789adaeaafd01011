// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"slices"

	"github.com/gmpulse/gmpulse/runtimeinfo/host"
)

// What the Go runtime tells of itself. Keys are those of runtime/metrics.

func schedulerRows() []Metric {
	return in(SubsystemScheduler, slices.Concat(goroutineRows(), pulseRows(), processorRows()))
}

func goroutineRows() []Metric {
	return append([]Metric{
		// The number every Go dashboard starts with. Since Go 1.26 the runtime counts its own goroutines too.
		{Name: "go.goroutine.count", Unit: "{goroutine}", Kind: KindUpDownCounter, Help: "Live goroutines, those of the runtime included.", source: computed(schedTotal)},
		// The application's share of it, comparable with go_goroutines and with older Go releases.
		{Name: "gmpulse.goroutine.user", Unit: "{goroutine}", Kind: KindUpDownCounter, Headline: true, Help: "Live goroutines without those of the runtime (runtime.NumGoroutine).", source: computed(schedUser)},
		// A leak is creation that outruns exit: the rate tells churn from growth.
		{Name: "gmpulse.goroutine.creations", Unit: "{goroutine}", Kind: KindCounter, Help: "Goroutines created since the process started.", source: rt("/sched/goroutines-created:goroutines")},
	},
		// The states say what an explosion is made of: CPU starvation (runnable) or blocking (waiting).
		perState(Metric{Name: "gmpulse.goroutines", Kind: KindUpDownCounter, Help: "Goroutines by state. Approximate: the states are not read at one instant and do not sum to the total."}, stateNow)...)
}

// pulseRows are the peaks between ticks: a burst of 50 ms is invisible to a
// gauge that is read once a second.
func pulseRows() []Metric {
	return slices.Concat(
		perState(Metric{Name: "gmpulse.pulse.goroutines.min", Kind: KindGauge, Help: "Fewest goroutines in a state at any pulse since the last tick."}, stateMin),
		perState(Metric{Name: "gmpulse.pulse.goroutines.mean", Kind: KindGauge, Help: "Mean of goroutines in a state over the pulses since the last tick."}, stateMean),
		perState(Metric{Name: "gmpulse.pulse.goroutines.max", Kind: KindGauge, Help: "Most goroutines in a state at any pulse since the last tick."}, stateMax),
		[]Metric{
			{Name: "gmpulse.pulse.runnable_per_processor.min", Unit: "{goroutine}", Kind: KindGauge, Help: "Fewest runnable goroutines per P at any pulse since the last tick.", source: computed(func(r *reading) float64 { return r.pulse.perP.min })},
			{Name: "gmpulse.pulse.runnable_per_processor.mean", Unit: "{goroutine}", Kind: KindGauge, Help: "Mean of runnable goroutines per P over the pulses since the last tick.", source: computed(func(r *reading) float64 { return r.pulse.perP.mean() })},
			{Name: "gmpulse.pulse.runnable_per_processor.max", Unit: "{goroutine}", Kind: KindGauge, Help: "Most runnable goroutines per P at any pulse since the last tick.", source: computed(func(r *reading) float64 { return r.pulse.perP.max })},
			// Cumulative, so that a scrape every 15 s still sees a peak of 100 ms.
			{Name: "gmpulse.pulse.runnable_per_processor.distribution", Unit: "{goroutine}", Kind: KindHistogram, Help: "Runnable goroutines per P at each pulse.", source: &source{distribution: func(r *reading) *Histogram { return &r.pulse.distribution }, observed: func(r *reading) float64 { return r.pulse.perP.max }}},
			// A canary: our own goroutine feels what the application's feel. The mean tells a process that is
			// stopped again and again from one that was stopped once.
			{Name: "gmpulse.pulse.lateness.mean", Unit: "s", Kind: KindGauge, Help: "How late the agent's goroutine woke on average for the pulses since the last tick.", source: computed(func(r *reading) float64 { return r.pulse.lateness.mean() })},
			{Name: "gmpulse.pulse.lateness.max", Unit: "s", Kind: KindGauge, Help: "How late the agent's goroutine woke at worst for a pulse since the last tick.", source: computed(func(r *reading) float64 { return r.pulse.lateness.max })},
		})
}

func processorRows() []Metric {
	return []Metric{
		// Threads grow with blocking syscalls and cgo; each costs kernel memory and is never given back.
		{Name: "gmpulse.threads", Unit: "{thread}", Kind: KindUpDownCounter, Help: "Threads (M) owned by the Go runtime.", source: rt("/sched/threads/total:threads")},
		// Queueing per processor is the scheduler's load average: above 1 work waits for a P.
		{Name: "gmpulse.runnable.per_processor", Unit: "{goroutine}", Kind: KindGauge, Help: "Runnable goroutines per P (GOMAXPROCS).", source: computed(runnablePerP)},
		// The P of GMP: what runnable goroutines queue for.
		{Name: "go.processor.limit", Unit: "{thread}", Kind: KindUpDownCounter, Headline: true, Help: "Threads that may run Go code at once (GOMAXPROCS).", source: rt("/sched/gomaxprocs:threads")},
		// GOMAXPROCS above this means throttling, below it idle CPUs.
		{Name: "gmpulse.cpu.usable", Unit: "{cpu}", Kind: KindGauge, Help: "CPUs this process may use: the least of affinity and cgroup quota.", source: fromHost(host.CPUUsable)},
		// The delay that every request pays when Ps are short. Go 1.26 samples other moments than 1.25: do not compare across.
		{Name: "go.schedule.duration", Unit: "s", Kind: KindHistogram, Help: "Time goroutines spent runnable before they ran; sampled by the runtime; sum estimated.", source: distribution(keyLatency)},
		{Name: "gmpulse.schedule.duration.p50", Unit: "s", Kind: KindGauge, Help: "Median scheduling latency of the last tick; absent when nothing was sampled.", source: quantile(0.5, keyLatency)},
		{Name: "gmpulse.schedule.duration.p99", Unit: "s", Kind: KindGauge, Headline: true, Help: "99th percentile of scheduling latency in the last tick; absent when nothing was sampled.", source: quantile(0.99, keyLatency)},
		{Name: "gmpulse.schedule.duration.max", Unit: "s", Kind: KindGauge, Help: "Upper bound of the greatest scheduling latency in the last tick; absent when nothing was sampled.", source: quantile(1, keyLatency)},
		// Lock contention over the whole process, without a mutex profile.
		{Name: "gmpulse.mutex.wait.time", Unit: "s", Kind: KindCounter, Help: "Time goroutines spent blocked on sync.Mutex, sync.RWMutex and runtime locks; sampled by the runtime.", source: rt("/sync/mutex/wait/total:seconds")},
		// Cgo calls hold threads and hide from the scheduler: the first suspect when threads grow.
		{Name: "gmpulse.cgo.calls", Unit: "{call}", Kind: KindCounter, Help: "Calls from Go to C.", source: rt("/cgo/go-to-c-calls:calls")},
		// A canary: our own goroutine feels what the application's feel.
		{Name: "gmpulse.tick.lateness", Unit: "s", Kind: KindGauge, Help: "How late the agent's goroutine woke for this tick.", source: computed(func(r *reading) float64 { return r.tick.Lateness.Seconds() })},
	}
}

func memoryRows() []Metric {
	return in(SubsystemMemory, []Metric{
		// What counts against GOMEMLIMIT, split as semantic conventions do.
		{Name: "go.memory.used", Unit: "By", Kind: KindUpDownCounter, Help: helpMemoryUsed, Attr: Attr{"go.memory.type", "stack"}, source: rt("/memory/classes/heap/stacks:bytes")},
		{Name: "go.memory.used", Unit: "By", Kind: KindUpDownCounter, Help: helpMemoryUsed, Attr: Attr{"go.memory.type", "other"}, source: rt("/memory/classes/total:bytes").minus("/memory/classes/heap/released:bytes", "/memory/classes/heap/stacks:bytes")},
		// Absent without a limit: a limit of 9.2e18 is a trap in every other exporter.
		{Name: "go.memory.limit", Unit: "By", Kind: KindUpDownCounter, Help: "Soft memory limit of the runtime (GOMEMLIMIT); absent when unset.", source: rt("/gc/gomemlimit:bytes")},
		// How far it is to the wall, for both walls.
		{Name: "gmpulse.memory.headroom", Unit: "By", Kind: KindGauge, Help: helpHeadroom, Attr: Attr{"gmpulse.memory.limit", "gomemlimit"}, source: rt("/gc/gomemlimit:bytes", "/memory/classes/heap/released:bytes").minus("/memory/classes/total:bytes")},
		{Name: "gmpulse.memory.headroom", Unit: "By", Kind: KindGauge, Help: helpHeadroom, Attr: Attr{"gmpulse.memory.limit", "container"}, source: computed(containerHeadroom)},
		// Allocation rate drives how often the collector runs.
		{Name: "go.memory.allocated", Unit: "By", Kind: KindCounter, Help: "Bytes allocated to the heap (MemStats.TotalAlloc).", source: rt("/gc/heap/allocs:bytes")},
		{Name: "go.memory.allocations", Unit: "{allocation}", Kind: KindCounter, Help: "Heap allocations, tiny ones excluded.", source: rt("/gc/heap/allocs:objects")},
		// With the two above and frees: MemStats.Mallocs and Frees.
		{Name: "gmpulse.memory.tiny_allocations", Unit: "{allocation}", Kind: KindCounter, Help: "Allocations served from shared tiny blocks.", source: rt("/gc/heap/tiny/allocs:objects")},
		{Name: "gmpulse.memory.frees", Unit: "{object}", Kind: KindCounter, Help: "Heap objects freed, tiny ones excluded.", source: rt("/gc/heap/frees:objects")},
		// The rest of the MemStats family, under Go's own terms, for people who think in them.
		{Name: "gmpulse.memory.heap_alloc", Unit: "By", Kind: KindUpDownCounter, Headline: true, Help: "Heap objects, live or not yet swept (MemStats.HeapAlloc and Alloc).", source: rt("/memory/classes/heap/objects:bytes")},
		{Name: "gmpulse.memory.heap_inuse", Unit: "By", Kind: KindUpDownCounter, Help: "Heap spans in use (MemStats.HeapInuse).", source: rt("/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes")},
		{Name: "gmpulse.memory.heap_idle", Unit: "By", Kind: KindUpDownCounter, Help: "Heap spans not in use (MemStats.HeapIdle).", source: rt("/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes")},
		{Name: "gmpulse.memory.heap_sys", Unit: "By", Kind: KindUpDownCounter, Help: "Address space of the heap (MemStats.HeapSys).", source: rt("/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes")},
		{Name: "gmpulse.memory.heap_released", Unit: "By", Kind: KindUpDownCounter, Help: "Heap memory returned to the system (MemStats.HeapReleased).", source: rt("/memory/classes/heap/released:bytes")},
		{Name: "gmpulse.memory.heap_objects", Unit: "{object}", Kind: KindUpDownCounter, Help: "Heap objects, live or not yet swept (MemStats.HeapObjects).", source: rt("/gc/heap/objects:objects")},
		{Name: "gmpulse.memory.stack_sys", Unit: "By", Kind: KindUpDownCounter, Help: "Memory of goroutine and thread stacks (MemStats.StackSys).", source: rt("/memory/classes/heap/stacks:bytes", "/memory/classes/os-stacks:bytes")},
		{Name: "gmpulse.memory.mspan_inuse", Unit: "By", Kind: KindUpDownCounter, Help: "Span structures in use (MemStats.MSpanInuse).", source: rt("/memory/classes/metadata/mspan/inuse:bytes")},
		{Name: "gmpulse.memory.mspan_sys", Unit: "By", Kind: KindUpDownCounter, Help: "Memory of span structures (MemStats.MSpanSys).", source: rt("/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/mspan/free:bytes")},
		{Name: "gmpulse.memory.mcache_inuse", Unit: "By", Kind: KindUpDownCounter, Help: "Per-P caches in use (MemStats.MCacheInuse).", source: rt("/memory/classes/metadata/mcache/inuse:bytes")},
		{Name: "gmpulse.memory.mcache_sys", Unit: "By", Kind: KindUpDownCounter, Help: "Memory of per-P caches (MemStats.MCacheSys).", source: rt("/memory/classes/metadata/mcache/inuse:bytes", "/memory/classes/metadata/mcache/free:bytes")},
		{Name: "gmpulse.memory.buck_hash_sys", Unit: "By", Kind: KindUpDownCounter, Help: "Memory of profiling hash tables (MemStats.BuckHashSys).", source: rt("/memory/classes/profiling/buckets:bytes")},
		{Name: "gmpulse.memory.gc_sys", Unit: "By", Kind: KindUpDownCounter, Help: "Memory of collector metadata (MemStats.GCSys).", source: rt("/memory/classes/metadata/other:bytes")},
		{Name: "gmpulse.memory.other_sys", Unit: "By", Kind: KindUpDownCounter, Help: "Memory of other runtime structures (MemStats.OtherSys).", source: rt("/memory/classes/other:bytes")},
		{Name: "gmpulse.memory.sys", Unit: "By", Kind: KindUpDownCounter, Help: "All memory obtained from the system by the runtime (MemStats.Sys).", source: rt("/memory/classes/total:bytes")},
	})
}

func gcRows() []Metric {
	return in(SubsystemGC, []Metric{
		// Where the next collection begins (MemStats.NextGC): heap against goal shows pacing.
		{Name: "go.memory.gc.goal", Unit: "By", Kind: KindUpDownCounter, Help: "Heap size target for the end of the collection cycle.", source: rt("/gc/heap/goal:bytes")},
		// A collection per second is a finding in itself (MemStats.NumGC).
		{Name: "go.memory.gc.cycles", Unit: "{gc_cycle}", Kind: KindCounter, Headline: true, Help: "Completed collection cycles.", source: rt("/gc/cycles/total:gc-cycles")},
		// Someone calls runtime.GC: a classic in promoted copy-paste code (MemStats.NumForcedGC).
		{Name: "gmpulse.gc.forced_cycles", Unit: "{gc_cycle}", Kind: KindCounter, Help: "Completed collection cycles forced by the application.", source: rt("/gc/cycles/forced:gc-cycles")},
		// The world stopped for the collector: each of these delays every request in flight.
		{Name: "go.memory.gc.pause.duration", Unit: "s", Kind: KindHistogram, Help: "Stop-the-world pauses of the collector; sum estimated.", source: distribution(keyPauseGC)},
		{Name: "gmpulse.gc.pause.p50", Unit: "s", Kind: KindGauge, Help: "Median collector pause of the last tick; absent without one.", source: quantile(0.5, keyPauseGC)},
		{Name: "gmpulse.gc.pause.p99", Unit: "s", Kind: KindGauge, Help: "99th percentile of collector pauses in the last tick; absent without one.", source: quantile(0.99, keyPauseGC)},
		{Name: "gmpulse.gc.pause.max", Unit: "s", Kind: KindGauge, Headline: true, Help: "Upper bound of the greatest collector pause in the last tick; absent without one.", source: quantile(1, keyPauseGC)},
		// Exact, from debug.ReadGCStats, which does not stop the world (MemStats.PauseTotalNs).
		{Name: "gmpulse.gc.pause.time", Unit: "s", Kind: KindCounter, Help: "Total time of collector pauses.", source: computed(func(r *reading) float64 { return r.gc.PauseTotal.Seconds() })},
		// The world stopped for anything else: profiles, ReadMemStats, GOMAXPROCS changes. Tells on other agents.
		{Name: "gmpulse.stw.other.duration", Unit: "s", Kind: KindHistogram, Help: "Stop-the-world pauses for anything but collection; sum estimated.", source: distribution(keyPauseOther)},
		{Name: "gmpulse.stw.other.p50", Unit: "s", Kind: KindGauge, Help: "Median of other stop-the-world pauses in the last tick; absent without one.", source: quantile(0.5, keyPauseOther)},
		{Name: "gmpulse.stw.other.p99", Unit: "s", Kind: KindGauge, Help: "99th percentile of other stop-the-world pauses in the last tick; absent without one.", source: quantile(0.99, keyPauseOther)},
		{Name: "gmpulse.stw.other.max", Unit: "s", Kind: KindGauge, Help: "Upper bound of the greatest other stop-the-world pause in the last tick; absent without one.", source: quantile(1, keyPauseOther)},
		// What survives a collection: the line that a memory leak draws.
		{Name: "gmpulse.gc.heap_live", Unit: "By", Kind: KindUpDownCounter, Help: "Heap that the last collection found reachable.", source: rt("/gc/heap/live:bytes")},
		// Marking work per cycle is proportional to this.
		{Name: "gmpulse.gc.scan", Unit: "By", Kind: KindUpDownCounter, Help: "Memory that a collection must scan.", source: rt("/gc/scan/total:bytes")},
		// The limiter is the runtime giving up on its memory limit to save CPU: thrashing.
		{Name: "gmpulse.gc.limiter_last_enabled", Unit: "{gc_cycle}", Kind: KindGauge, Help: "Cycle in which the collector's CPU limiter last acted; 0 is never.", source: rt("/gc/limiter/last-enabled:gc-cycle")},
		// A finalizer that blocks stalls all others and keeps their memory.
		{Name: "gmpulse.gc.finalizers_pending", Unit: "{finalizer}", Kind: KindUpDownCounter, Help: "Finalizers queued and not yet run.", source: rt("/gc/finalizers/queued:finalizers").minus("/gc/finalizers/executed:finalizers")},
		{Name: "gmpulse.gc.cleanups_pending", Unit: "{cleanup}", Kind: KindUpDownCounter, Help: "Cleanups queued and not yet run.", source: rt("/gc/cleanups/queued:cleanups").minus("/gc/cleanups/executed:cleanups")},
		// Long ago means a stuck or an idle process (MemStats.LastGC).
		{Name: "gmpulse.gc.last.timestamp", Unit: "s", Kind: KindGauge, Help: "Unix time of the last collection; absent before the first.", source: computed(lastGC)},
		// Misread as 1.8e19 elsewhere when collection is off.
		{Name: "go.config.gogc", Unit: "%", Kind: KindUpDownCounter, Help: "Heap growth target (GOGC); absent when off.", source: rt("/gc/gogc:percent")},
	})
}

func cpuRows() []Metric {
	return in(SubsystemCPU, []Metric{
		// Where the runtime says its CPU time went. Estimates that move only when a collection ends.
		{Name: "go.cpu.time", Unit: "s", Kind: KindCounter, Help: helpCPUTime, Attr: Attr{"go.cpu.state", "user"}, source: rt("/cpu/classes/user:cpu-seconds")},
		{Name: "go.cpu.time", Unit: "s", Kind: KindCounter, Help: helpCPUTime, Attr: Attr{"go.cpu.state", "gc"}, source: rt("/cpu/classes/gc/total:cpu-seconds")},
		{Name: "go.cpu.time", Unit: "s", Kind: KindCounter, Help: helpCPUTime, Attr: Attr{"go.cpu.state", "scavenge"}, source: rt("/cpu/classes/scavenge/total:cpu-seconds")},
		{Name: "go.cpu.time", Unit: "s", Kind: KindCounter, Help: helpCPUTime, Attr: Attr{"go.cpu.state", "idle"}, source: rt("/cpu/classes/idle:cpu-seconds")},
		// Time that allocating goroutines were made to mark: collection felt as latency.
		{Name: "gmpulse.gc.assist.time", Unit: "s", Kind: KindCounter, Help: "CPU time that goroutines spent assisting the collector; moves only when a collection ends.", source: rt("/cpu/classes/gc/mark/assist:cpu-seconds")},
		// The collector's share of the CPU since start (MemStats.GCCPUFraction).
		{Name: "gmpulse.gc.cpu", Unit: "1", Kind: KindGauge, Help: "Share of the available CPU time that collection used since the start; moves only when a collection ends.", source: rt("/cpu/classes/gc/total:cpu-seconds").minus("/cpu/classes/gc/mark/idle:cpu-seconds").dividedBy("/cpu/classes/total:cpu-seconds")},
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
func perState(row Metric, of func(goroutineState) *source) []Metric {
	rows := make([]Metric, numStates)
	for s := range numStates {
		rows[s] = row
		rows[s].Unit = "{goroutine}"
		rows[s].Attr = Attr{"go.goroutine.state", s.String()}
		rows[s].source = of(s)
	}
	return rows
}
