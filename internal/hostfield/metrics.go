// SPDX-License-Identifier: Apache-2.0

package hostfield

import "github.com/gmpulse/gmpulse/runtimeinfo"

// Metrics returns the metric of each field. The comments give the purpose of the metrics.
//
// A metric without Detail is in the default set. Most values of the machine are for an agent of the
// host to export, and once for all its processes. Ranged is what can run out between two deliveries:
// the host pass reads it every ten seconds, so that only the summaries of longer intervals have more
// than one value of it.
//
//nolint:funlen // a table
func Metrics() (all [Count]runtimeinfo.Metric) {
	all = [Count]runtimeinfo.Metric{
		// Measured by the kernel: unlike go.cpu.time it is current at all times and includes cgo.
		ProcessCPUUser:   {Name: "process.cpu.time", Unit: "s", Kind: counter, Help: helpProcessCPU, Attr: attr{Key: "cpu.mode", Value: "user"}},
		ProcessCPUSystem: {Name: "process.cpu.time", Unit: "s", Kind: counter, Help: helpProcessCPU, Attr: attr{Key: "cpu.mode", Value: "system"}},
		// The memory that the kernel and its OOM killer see.
		ProcessMemoryRSS:     {Name: "process.memory.usage", Unit: "By", Kind: upDown, Ranged: true, Headline: true, Help: "Resident memory of the process."},
		ProcessMemoryVirtual: {Name: "process.memory.virtual", Unit: "By", Kind: upDown, Detail: true, Help: "Address space of the process."},
		// Includes threads of cgo libraries, which gmpulse.threads does not.
		ProcessThreads: {Name: "process.thread.count", Unit: "{thread}", Kind: upDown, Ranged: true, Detail: true, Help: "Threads of the process."},
		// Leaked connections lead to "too many open files".
		ProcessFDs:     {Name: "process.unix.file_descriptor.count", Unit: "{file_descriptor}", Kind: upDown, Ranged: true, Headline: true, Help: "Open file descriptors of the process."},
		ProcessFDLimit: {Name: "gmpulse.process.file_descriptor_limit", Unit: "{file_descriptor}", Kind: gauge, Help: "Open file descriptors allowed (soft limit); absent when unlimited."},
		// Involuntary: other processes need the CPUs. Voluntary: threads block in system calls.
		ProcessContextSwitchesVoluntary:   {Name: "process.context_switches", Unit: "{context_switch}", Kind: counter, Detail: true, Help: helpSwitches, Attr: attr{Key: "process.context_switch.type", Value: "voluntary"}},
		ProcessContextSwitchesInvoluntary: {Name: "process.context_switches", Unit: "{context_switch}", Kind: counter, Detail: true, Help: helpSwitches, Attr: attr{Key: "process.context_switch.type", Value: "involuntary"}},
		// Major faults wait for storage: memory is short, even if the heap is small.
		ProcessFaultsMinor: {Name: "process.paging.faults", Unit: "{fault}", Kind: counter, Detail: true, Help: helpFaults, Attr: attr{Key: "system.paging.fault.type", Value: "minor"}},
		ProcessFaultsMajor: {Name: "process.paging.faults", Unit: "{fault}", Kind: counter, Detail: true, Help: helpFaults, Attr: attr{Key: "system.paging.fault.type", Value: "major"}},
		// The share of this process in the disk traffic of the machine.
		ProcessDiskRead:  {Name: "process.disk.io", Unit: "By", Kind: counter, Detail: true, Help: helpProcessIO, Attr: attr{Key: "disk.io.direction", Value: "read"}},
		ProcessDiskWrite: {Name: "process.disk.io", Unit: "By", Kind: counter, Detail: true, Help: helpProcessIO, Attr: attr{Key: "disk.io.direction", Value: "write"}},
		// Threads that are ready wait for a CPU, for example because of other processes. No Go metric shows it.
		ProcessRunQueueWait: {Name: "gmpulse.process.runqueue_wait.time", Unit: "s", Kind: counter, Help: "Time the threads of the process waited for a CPU."},

		// GOMAXPROCS above it means throttling, below it idle CPUs.
		CPUUsable: {Name: "gmpulse.cpu.usable", Unit: "{cpu}", Kind: gauge, Headline: true, Help: "CPUs this process may use: the least of affinity and cgroup quota."},

		// GOMAXPROCS should be equal to it.
		CgroupCPUQuota: {Name: "gmpulse.cgroup.cpu.quota", Unit: "{cpu}", Kind: gauge, Help: "CPUs that the tightest control group above the process allows; absent when unlimited."},
		// A throttled process does not run, which adds latency that no other metric explains.
		CgroupCPUPeriods:       {Name: "gmpulse.cgroup.cpu.periods", Unit: "{period}", Kind: counter, Help: "Periods in which the CPU quota was enforced."},
		CgroupCPUThrottled:     {Name: "gmpulse.cgroup.cpu.throttled_periods", Unit: "{period}", Kind: counter, Help: "Periods in which the process was throttled."},
		CgroupCPUThrottledTime: {Name: "gmpulse.cgroup.cpu.throttled.time", Unit: "s", Kind: counter, Fault: true, Help: "Time that the process was throttled."},
		// At the limit the OOM killer ends a process.
		CgroupMemoryUsage:      {Name: "gmpulse.cgroup.memory.usage", Unit: "By", Kind: upDown, Ranged: true, Detail: true, Help: "Memory charged to the control group, page cache included."},
		CgroupMemoryWorkingSet: {Name: "gmpulse.cgroup.memory.working_set", Unit: "By", Kind: upDown, Ranged: true, Help: "Memory charged to the control group less inactive page cache."},
		CgroupMemoryMax:        {Name: "gmpulse.cgroup.memory.max", Unit: "By", Kind: gauge, Help: "Hard memory limit of the tightest control group; absent when unlimited."},
		CgroupMemoryHigh:       {Name: "gmpulse.cgroup.memory.high", Unit: "By", Kind: gauge, Detail: true, Help: "Memory above which the kernel slows the control group down; absent when unlimited."},
		// These prove that the limit was reached; pressure is only a hint.
		CgroupMemoryOOM:     {Name: "gmpulse.cgroup.memory.oom", Unit: "{event}", Kind: counter, Fault: true, Detail: true, Help: "Times the control group ran out of memory."},
		CgroupMemoryOOMKill: {Name: "gmpulse.cgroup.memory.oom_kills", Unit: "{process}", Kind: counter, Fault: true, Help: "Processes of the control group killed for lack of memory."},
		// Pressure: time that some or all tasks of the container waited for a resource.
		CgroupPressureCPUSome:    {Name: "gmpulse.cgroup.pressure.cpu.time", Unit: "s", Kind: counter, Help: helpCgroupCPU, Attr: attr{Key: "gmpulse.pressure.stalled", Value: "some"}},
		CgroupPressureCPUFull:    {Name: "gmpulse.cgroup.pressure.cpu.time", Unit: "s", Kind: counter, Detail: true, Help: helpCgroupCPU, Attr: attr{Key: "gmpulse.pressure.stalled", Value: "full"}},
		CgroupPressureMemorySome: {Name: "gmpulse.cgroup.pressure.memory.time", Unit: "s", Kind: counter, Detail: true, Help: helpCgroupMemory, Attr: attr{Key: "gmpulse.pressure.stalled", Value: "some"}},
		CgroupPressureMemoryFull: {Name: "gmpulse.cgroup.pressure.memory.time", Unit: "s", Kind: counter, Help: helpCgroupMemory, Attr: attr{Key: "gmpulse.pressure.stalled", Value: "full"}},
		CgroupPressureIOSome:     {Name: "gmpulse.cgroup.pressure.io.time", Unit: "s", Kind: counter, Detail: true, Help: helpCgroupIO, Attr: attr{Key: "gmpulse.pressure.stalled", Value: "some"}},
		CgroupPressureIOFull:     {Name: "gmpulse.cgroup.pressure.io.time", Unit: "s", Kind: counter, Help: helpCgroupIO, Attr: attr{Key: "gmpulse.pressure.stalled", Value: "full"}},

		// Shows whether this process or others use the machine. Steal is time of other virtual machines.
		SystemCPUUser:      {Name: "system.cpu.time", Unit: "s", Kind: counter, Detail: true, Help: helpSystemCPU, Attr: attr{Key: "cpu.mode", Value: "user"}},
		SystemCPUNice:      {Name: "system.cpu.time", Unit: "s", Kind: counter, Detail: true, Help: helpSystemCPU, Attr: attr{Key: "cpu.mode", Value: "nice"}},
		SystemCPUSystem:    {Name: "system.cpu.time", Unit: "s", Kind: counter, Detail: true, Help: helpSystemCPU, Attr: attr{Key: "cpu.mode", Value: "system"}},
		SystemCPUIdle:      {Name: "system.cpu.time", Unit: "s", Kind: counter, Detail: true, Help: helpSystemCPU, Attr: attr{Key: "cpu.mode", Value: "idle"}},
		SystemCPUIOWait:    {Name: "system.cpu.time", Unit: "s", Kind: counter, Detail: true, Help: helpSystemCPU, Attr: attr{Key: "cpu.mode", Value: "iowait"}},
		SystemCPUInterrupt: {Name: "system.cpu.time", Unit: "s", Kind: counter, Detail: true, Help: helpSystemCPU, Attr: attr{Key: "cpu.mode", Value: "interrupt"}},
		SystemCPUSteal:     {Name: "system.cpu.time", Unit: "s", Kind: counter, Detail: true, Help: helpSystemCPU, Attr: attr{Key: "cpu.mode", Value: "steal"}},
		SystemCPULogical:   {Name: "system.cpu.logical.count", Unit: "{cpu}", Kind: upDown, Detail: true, Help: "Logical CPUs of the machine."},
		// Names of the host receiver of the OpenTelemetry Collector.
		SystemLoad1:  {Name: "system.cpu.load_average.1m", Unit: "{thread}", Kind: gauge, Detail: true, Help: "Load average over 1 minute."},
		SystemLoad5:  {Name: "system.cpu.load_average.5m", Unit: "{thread}", Kind: gauge, Detail: true, Help: "Load average over 5 minutes."},
		SystemLoad15: {Name: "system.cpu.load_average.15m", Unit: "{thread}", Kind: gauge, Detail: true, Help: "Load average over 15 minutes."},
		// The limit if the container has none.
		SystemMemoryTotal:     {Name: "system.memory.limit", Unit: "By", Kind: upDown, Detail: true, Help: "Memory of the machine."},
		SystemMemoryUsed:      {Name: "system.memory.usage", Unit: "By", Kind: upDown, Detail: true, Help: helpSystemMemory, Attr: attr{Key: "system.memory.state", Value: "used"}},
		SystemMemoryFree:      {Name: "system.memory.usage", Unit: "By", Kind: upDown, Detail: true, Help: helpSystemMemory, Attr: attr{Key: "system.memory.state", Value: "free"}},
		SystemMemoryCached:    {Name: "system.memory.usage", Unit: "By", Kind: upDown, Detail: true, Help: helpSystemMemory, Attr: attr{Key: "system.memory.state", Value: "cached"}},
		SystemMemoryBuffers:   {Name: "system.memory.usage", Unit: "By", Kind: upDown, Detail: true, Help: helpSystemMemory, Attr: attr{Key: "system.memory.state", Value: "buffers"}},
		SystemMemoryAvailable: {Name: "system.memory.linux.available", Unit: "By", Kind: upDown, Detail: true, Help: "Memory that can be had without swapping."},
		// Garbage collection is very slow if the heap is in swap.
		SystemSwapUsed: {Name: "system.paging.usage", Unit: "By", Kind: upDown, Detail: true, Help: helpSwap, Attr: attr{Key: "system.paging.state", Value: "used"}},
		SystemSwapFree: {Name: "system.paging.usage", Unit: "By", Kind: upDown, Detail: true, Help: helpSwap, Attr: attr{Key: "system.paging.state", Value: "free"}},
		// Sums over devices. Host agents have values for each device.
		SystemDiskReadBytes:  {Name: "system.disk.io", Unit: "By", Kind: counter, Detail: true, Help: helpDiskIO, Attr: attr{Key: "disk.io.direction", Value: "read"}},
		SystemDiskWriteBytes: {Name: "system.disk.io", Unit: "By", Kind: counter, Detail: true, Help: helpDiskIO, Attr: attr{Key: "disk.io.direction", Value: "write"}},
		SystemDiskReads:      {Name: "system.disk.operations", Unit: "{operation}", Kind: counter, Detail: true, Help: helpDiskOps, Attr: attr{Key: "disk.io.direction", Value: "read"}},
		SystemDiskWrites:     {Name: "system.disk.operations", Unit: "{operation}", Kind: counter, Detail: true, Help: helpDiskOps, Attr: attr{Key: "disk.io.direction", Value: "write"}},
		// Errors and drops explain timeouts that no stack shows.
		SystemNetworkReceiveBytes:    {Name: "system.network.io", Unit: "By", Kind: counter, Detail: true, Help: helpNetIO, Attr: attr{Key: "network.io.direction", Value: "receive"}},
		SystemNetworkTransmitBytes:   {Name: "system.network.io", Unit: "By", Kind: counter, Detail: true, Help: helpNetIO, Attr: attr{Key: "network.io.direction", Value: "transmit"}},
		SystemNetworkReceiveErrors:   {Name: "system.network.errors", Unit: "{error}", Kind: counter, Detail: true, Help: helpNetErrors, Attr: attr{Key: "network.io.direction", Value: "receive"}},
		SystemNetworkTransmitErrors:  {Name: "system.network.errors", Unit: "{error}", Kind: counter, Detail: true, Help: helpNetErrors, Attr: attr{Key: "network.io.direction", Value: "transmit"}},
		SystemNetworkReceiveDropped:  {Name: "system.network.packet.dropped", Unit: "{packet}", Kind: counter, Detail: true, Help: helpNetDrops, Attr: attr{Key: "network.io.direction", Value: "receive"}},
		SystemNetworkTransmitDropped: {Name: "system.network.packet.dropped", Unit: "{packet}", Kind: counter, Detail: true, Help: helpNetDrops, Attr: attr{Key: "network.io.direction", Value: "transmit"}},
		// For machines whose control groups have no pressure values.
		SystemPressureCPUSome:    {Name: "gmpulse.system.pressure.cpu.time", Unit: "s", Kind: counter, Detail: true, Help: helpMachineCPU, Attr: attr{Key: "gmpulse.pressure.stalled", Value: "some"}},
		SystemPressureMemorySome: {Name: "gmpulse.system.pressure.memory.time", Unit: "s", Kind: counter, Detail: true, Help: helpMachineMemory, Attr: attr{Key: "gmpulse.pressure.stalled", Value: "some"}},
		SystemPressureMemoryFull: {Name: "gmpulse.system.pressure.memory.time", Unit: "s", Kind: counter, Detail: true, Help: helpMachineMemory, Attr: attr{Key: "gmpulse.pressure.stalled", Value: "full"}},
		SystemPressureIOSome:     {Name: "gmpulse.system.pressure.io.time", Unit: "s", Kind: counter, Detail: true, Help: helpMachineIO, Attr: attr{Key: "gmpulse.pressure.stalled", Value: "some"}},
		SystemPressureIOFull:     {Name: "gmpulse.system.pressure.io.time", Unit: "s", Kind: counter, Detail: true, Help: helpMachineIO, Attr: attr{Key: "gmpulse.pressure.stalled", Value: "full"}},
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

type attr = runtimeinfo.Attr

const (
	gauge   = runtimeinfo.KindGauge
	upDown  = runtimeinfo.KindUpDownCounter
	counter = runtimeinfo.KindCounter
)
