// SPDX-License-Identifier: Apache-2.0

package hostfield

import "github.com/gmpulse/gmpulse/runtimeinfo"

// Metrics returns the metric of each field. The comments give the purpose of the metrics.
//
//nolint:funlen // a table
func Metrics() [Count]runtimeinfo.Metric {
	all := [Count]runtimeinfo.Metric{
		// Measured by the kernel: unlike go.cpu.time it is current at all times and includes cgo.
		ProcessCPUUser:   counter("process.cpu.time", "s", helpProcessCPU, "cpu.mode", "user"),
		ProcessCPUSystem: counter("process.cpu.time", "s", helpProcessCPU, "cpu.mode", "system"),
		// The memory that the kernel and its OOM killer see.
		ProcessMemoryRSS:     upDown("process.memory.usage", "By", "Resident memory of the process."),
		ProcessMemoryVirtual: detail(upDown("process.memory.virtual", "By", "Address space of the process.")),
		// Includes threads of cgo libraries, which gmpulse.threads does not.
		ProcessThreads: detail(upDown("process.thread.count", "{thread}", "Threads of the process.")),
		// Leaked connections lead to "too many open files".
		ProcessFDs:     upDown("process.unix.file_descriptor.count", "{file_descriptor}", "Open file descriptors of the process."),
		ProcessFDLimit: gauge("gmpulse.process.file_descriptor_limit", "{file_descriptor}", "Open file descriptors allowed (soft limit); absent when unlimited."),
		// Involuntary: other processes need the CPUs. Voluntary: threads block in system calls.
		ProcessContextSwitchesVoluntary:   detail(counter("process.context_switches", "{context_switch}", helpSwitches, "process.context_switch.type", "voluntary")),
		ProcessContextSwitchesInvoluntary: detail(counter("process.context_switches", "{context_switch}", helpSwitches, "process.context_switch.type", "involuntary")),
		// Major faults wait for storage: memory is short, even if the heap is small.
		ProcessFaultsMinor: detail(counter("process.paging.faults", "{fault}", helpFaults, "system.paging.fault.type", "minor")),
		ProcessFaultsMajor: detail(counter("process.paging.faults", "{fault}", helpFaults, "system.paging.fault.type", "major")),
		// The share of this process in the disk traffic of the machine.
		ProcessDiskRead:  detail(counter("process.disk.io", "By", helpProcessIO, "disk.io.direction", "read")),
		ProcessDiskWrite: detail(counter("process.disk.io", "By", helpProcessIO, "disk.io.direction", "write")),
		// Threads that are ready wait for a CPU, for example because of other processes. No Go metric shows it.
		ProcessRunQueueWait: counter("gmpulse.process.runqueue_wait.time", "s", "Time the threads of the process waited for a CPU."),

		// GOMAXPROCS above it means throttling, below it idle CPUs.
		CPUUsable: gauge("gmpulse.cpu.usable", "{cpu}", "CPUs this process may use: the least of affinity and cgroup quota."),

		// GOMAXPROCS should be equal to it.
		CgroupCPUQuota: gauge("gmpulse.cgroup.cpu.quota", "{cpu}", "CPUs that the tightest control group above the process allows; absent when unlimited."),
		// A throttled process does not run, which adds latency that no other metric explains.
		CgroupCPUPeriods:       counter("gmpulse.cgroup.cpu.periods", "{period}", "Periods in which the CPU quota was enforced."),
		CgroupCPUThrottled:     counter("gmpulse.cgroup.cpu.throttled_periods", "{period}", "Periods in which the process was throttled."),
		CgroupCPUThrottledTime: counter("gmpulse.cgroup.cpu.throttled.time", "s", "Time that the process was throttled."),
		// At the limit the OOM killer ends a process.
		CgroupMemoryUsage:      detail(upDown("gmpulse.cgroup.memory.usage", "By", "Memory charged to the control group, page cache included.")),
		CgroupMemoryWorkingSet: upDown("gmpulse.cgroup.memory.working_set", "By", "Memory charged to the control group less inactive page cache."),
		CgroupMemoryMax:        gauge("gmpulse.cgroup.memory.max", "By", "Hard memory limit of the tightest control group; absent when unlimited."),
		CgroupMemoryHigh:       detail(gauge("gmpulse.cgroup.memory.high", "By", "Memory above which the kernel slows the control group down; absent when unlimited.")),
		// These prove that the limit was reached; pressure is only a hint.
		CgroupMemoryOOM:     detail(counter("gmpulse.cgroup.memory.oom", "{event}", "Times the control group ran out of memory.")),
		CgroupMemoryOOMKill: counter("gmpulse.cgroup.memory.oom_kills", "{process}", "Processes of the control group killed for lack of memory."),
		// Pressure: time that some or all tasks of the container waited for a resource.
		CgroupPressureCPUSome:    counter("gmpulse.cgroup.pressure.cpu.time", "s", helpCgroupCPU, "gmpulse.pressure.stalled", "some"),
		CgroupPressureCPUFull:    detail(counter("gmpulse.cgroup.pressure.cpu.time", "s", helpCgroupCPU, "gmpulse.pressure.stalled", "full")),
		CgroupPressureMemorySome: detail(counter("gmpulse.cgroup.pressure.memory.time", "s", helpCgroupMemory, "gmpulse.pressure.stalled", "some")),
		CgroupPressureMemoryFull: counter("gmpulse.cgroup.pressure.memory.time", "s", helpCgroupMemory, "gmpulse.pressure.stalled", "full"),
		CgroupPressureIOSome:     detail(counter("gmpulse.cgroup.pressure.io.time", "s", helpCgroupIO, "gmpulse.pressure.stalled", "some")),
		CgroupPressureIOFull:     counter("gmpulse.cgroup.pressure.io.time", "s", helpCgroupIO, "gmpulse.pressure.stalled", "full"),

		// Shows whether this process or others use the machine. Steal is time of other virtual machines.
		SystemCPUUser:      detail(counter("system.cpu.time", "s", helpSystemCPU, "cpu.mode", "user")),
		SystemCPUNice:      detail(counter("system.cpu.time", "s", helpSystemCPU, "cpu.mode", "nice")),
		SystemCPUSystem:    detail(counter("system.cpu.time", "s", helpSystemCPU, "cpu.mode", "system")),
		SystemCPUIdle:      detail(counter("system.cpu.time", "s", helpSystemCPU, "cpu.mode", "idle")),
		SystemCPUIOWait:    detail(counter("system.cpu.time", "s", helpSystemCPU, "cpu.mode", "iowait")),
		SystemCPUInterrupt: detail(counter("system.cpu.time", "s", helpSystemCPU, "cpu.mode", "interrupt")),
		SystemCPUSteal:     detail(counter("system.cpu.time", "s", helpSystemCPU, "cpu.mode", "steal")),
		SystemCPULogical:   detail(upDown("system.cpu.logical.count", "{cpu}", "Logical CPUs of the machine.")),
		// Names of the host receiver of the OpenTelemetry Collector.
		SystemLoad1:  detail(gauge("system.cpu.load_average.1m", "{thread}", "Load average over 1 minute.")),
		SystemLoad5:  detail(gauge("system.cpu.load_average.5m", "{thread}", "Load average over 5 minutes.")),
		SystemLoad15: detail(gauge("system.cpu.load_average.15m", "{thread}", "Load average over 15 minutes.")),
		// The limit if the container has none.
		SystemMemoryTotal:     detail(upDown("system.memory.limit", "By", "Memory of the machine.")),
		SystemMemoryUsed:      detail(upDown("system.memory.usage", "By", helpSystemMemory, "system.memory.state", "used")),
		SystemMemoryFree:      detail(upDown("system.memory.usage", "By", helpSystemMemory, "system.memory.state", "free")),
		SystemMemoryCached:    detail(upDown("system.memory.usage", "By", helpSystemMemory, "system.memory.state", "cached")),
		SystemMemoryBuffers:   detail(upDown("system.memory.usage", "By", helpSystemMemory, "system.memory.state", "buffers")),
		SystemMemoryAvailable: detail(upDown("system.memory.linux.available", "By", "Memory that can be had without swapping.")),
		// Garbage collection is very slow if the heap is in swap.
		SystemSwapUsed: detail(upDown("system.paging.usage", "By", helpSwap, "system.paging.state", "used")),
		SystemSwapFree: detail(upDown("system.paging.usage", "By", helpSwap, "system.paging.state", "free")),
		// Sums over devices. Host agents have values for each device.
		SystemDiskReadBytes:  detail(counter("system.disk.io", "By", helpDiskIO, "disk.io.direction", "read")),
		SystemDiskWriteBytes: detail(counter("system.disk.io", "By", helpDiskIO, "disk.io.direction", "write")),
		SystemDiskReads:      detail(counter("system.disk.operations", "{operation}", helpDiskOps, "disk.io.direction", "read")),
		SystemDiskWrites:     detail(counter("system.disk.operations", "{operation}", helpDiskOps, "disk.io.direction", "write")),
		// Errors and drops explain timeouts that no stack shows.
		SystemNetworkReceiveBytes:    detail(counter("system.network.io", "By", helpNetIO, "network.io.direction", "receive")),
		SystemNetworkTransmitBytes:   detail(counter("system.network.io", "By", helpNetIO, "network.io.direction", "transmit")),
		SystemNetworkReceiveErrors:   detail(counter("system.network.errors", "{error}", helpNetErrors, "network.io.direction", "receive")),
		SystemNetworkTransmitErrors:  detail(counter("system.network.errors", "{error}", helpNetErrors, "network.io.direction", "transmit")),
		SystemNetworkReceiveDropped:  detail(counter("system.network.packet.dropped", "{packet}", helpNetDrops, "network.io.direction", "receive")),
		SystemNetworkTransmitDropped: detail(counter("system.network.packet.dropped", "{packet}", helpNetDrops, "network.io.direction", "transmit")),
		// For machines whose control groups have no pressure values.
		SystemPressureCPUSome:    detail(counter("gmpulse.system.pressure.cpu.time", "s", helpMachineCPU, "gmpulse.pressure.stalled", "some")),
		SystemPressureMemorySome: detail(counter("gmpulse.system.pressure.memory.time", "s", helpMachineMemory, "gmpulse.pressure.stalled", "some")),
		SystemPressureMemoryFull: detail(counter("gmpulse.system.pressure.memory.time", "s", helpMachineMemory, "gmpulse.pressure.stalled", "full")),
		SystemPressureIOSome:     detail(counter("gmpulse.system.pressure.io.time", "s", helpMachineIO, "gmpulse.pressure.stalled", "some")),
		SystemPressureIOFull:     detail(counter("gmpulse.system.pressure.io.time", "s", helpMachineIO, "gmpulse.pressure.stalled", "full")),
	}
	for _, f := range []Field{ProcessMemoryRSS, ProcessFDs, CPUUsable} {
		all[f].Headline = true
	}
	// What can run out between two deliveries. The host pass reads them every ten seconds, so that only
	// the summaries of longer intervals have more than one value of them.
	for _, f := range []Field{ProcessMemoryRSS, ProcessThreads, ProcessFDs, CgroupMemoryUsage, CgroupMemoryWorkingSet} {
		all[f].Ranged = true
	}
	for _, f := range []Field{CgroupCPUThrottledTime, CgroupMemoryOOM, CgroupMemoryOOMKill} {
		all[f].Fault = true
	}
	for f := range all {
		all[f].Subsystem = subsystem(Field(f))
	}
	return all
}

func subsystem(f Field) runtimeinfo.Subsystem {
	switch {
	case f < CPUUsable:
		return runtimeinfo.SubsystemProcess
	case f == CPUUsable:
		return runtimeinfo.SubsystemScheduler
	case f < SystemCPUUser:
		return runtimeinfo.SubsystemContainer
	default:
		return runtimeinfo.SubsystemSystem
	}
}

// Metrics with the same name have the same help text.
const (
	helpProcessCPU    = "CPU time of the process."
	helpSwitches      = "Context switches of all threads of the process."
	helpFaults        = "Page faults of the process."
	helpProcessIO     = "Bytes that the process caused to be moved from and to storage."
	helpCgroupCPU     = "Time that some or all tasks of the control group were stalled for CPU."
	helpCgroupMemory  = "Time that some or all tasks of the control group were stalled for memory."
	helpCgroupIO      = "Time that some or all tasks of the control group were stalled for I/O."
	helpSystemCPU     = "CPU time of the machine, summed over CPUs."
	helpSystemMemory  = "Memory of the machine by state."
	helpSwap          = "Swap of the machine by state."
	helpDiskIO        = "Bytes moved by whole disks."
	helpDiskOps       = "Operations of whole disks."
	helpNetIO         = "Bytes through network interfaces, loopback excluded."
	helpNetErrors     = "Errors on network interfaces, loopback excluded."
	helpNetDrops      = "Packets dropped by network interfaces, loopback excluded."
	helpMachineCPU    = "Time that tasks of the machine were stalled for CPU."
	helpMachineMemory = "Time that tasks of the machine were stalled for memory."
	helpMachineIO     = "Time that tasks of the machine were stalled for I/O."
)

// detail marks a metric that is not in the default set. Most values of the machine are for an agent
// of the host to export, and once for all its processes.
func detail(m runtimeinfo.Metric) runtimeinfo.Metric {
	m.Detail = true
	return m
}

// gauge returns a metric of that kind, as upDown and counter do. Their attr is the key and the value
// of an attribute, if the metric has one.
func gauge(name, unit, help string) runtimeinfo.Metric {
	return metric(runtimeinfo.KindGauge, name, unit, help, nil)
}

func upDown(name, unit, help string, attr ...string) runtimeinfo.Metric {
	return metric(runtimeinfo.KindUpDownCounter, name, unit, help, attr)
}

func counter(name, unit, help string, attr ...string) runtimeinfo.Metric {
	return metric(runtimeinfo.KindCounter, name, unit, help, attr)
}

func metric(kind runtimeinfo.Kind, name, unit, help string, attr []string) runtimeinfo.Metric {
	m := runtimeinfo.Metric{Name: name, Unit: unit, Kind: kind, Help: help}
	if len(attr) > 0 {
		m.Attr = runtimeinfo.Attr{Key: attr[0], Value: attr[1]}
	}
	return m
}
