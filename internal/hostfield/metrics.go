// SPDX-License-Identifier: Apache-2.0

package hostfield

import "github.com/gmpulse/gmpulse/runtimeinfo"

// Metrics returns the metric of each field. The comments give the purpose of the metrics.
//
//nolint:funlen // a table
func Metrics() (all [Count]runtimeinfo.Metric) {
	rows := [Count]row{
		// Measured by the kernel: unlike go.cpu.time it is current at all times and includes cgo.
		ProcessCPUUser:   {counter, "process.cpu.time", "s", helpProcessCPU, attr{"cpu.mode", "user"}, always},
		ProcessCPUSystem: {counter, "process.cpu.time", "s", helpProcessCPU, attr{"cpu.mode", "system"}, always},
		// The memory that the kernel and its OOM killer see.
		ProcessMemoryRSS:     {upDown, "process.memory.usage", "By", "Resident memory of the process.", attr{}, always},
		ProcessMemoryVirtual: {upDown, "process.memory.virtual", "By", "Address space of the process.", attr{}, detail},
		// Includes threads of cgo libraries, which gmpulse.threads does not.
		ProcessThreads: {upDown, "process.thread.count", "{thread}", "Threads of the process.", attr{}, detail},
		// Leaked connections lead to "too many open files".
		ProcessFDs:     {upDown, "process.unix.file_descriptor.count", "{file_descriptor}", "Open file descriptors of the process.", attr{}, always},
		ProcessFDLimit: {gauge, "gmpulse.process.file_descriptor_limit", "{file_descriptor}", "Open file descriptors allowed (soft limit); absent when unlimited.", attr{}, always},
		// Involuntary: other processes need the CPUs. Voluntary: threads block in system calls.
		ProcessContextSwitchesVoluntary:   {counter, "process.context_switches", "{context_switch}", helpSwitches, attr{"process.context_switch.type", "voluntary"}, detail},
		ProcessContextSwitchesInvoluntary: {counter, "process.context_switches", "{context_switch}", helpSwitches, attr{"process.context_switch.type", "involuntary"}, detail},
		// Major faults wait for storage: memory is short, even if the heap is small.
		ProcessFaultsMinor: {counter, "process.paging.faults", "{fault}", helpFaults, attr{"system.paging.fault.type", "minor"}, detail},
		ProcessFaultsMajor: {counter, "process.paging.faults", "{fault}", helpFaults, attr{"system.paging.fault.type", "major"}, detail},
		// The share of this process in the disk traffic of the machine.
		ProcessDiskRead:  {counter, "process.disk.io", "By", helpProcessIO, attr{"disk.io.direction", "read"}, detail},
		ProcessDiskWrite: {counter, "process.disk.io", "By", helpProcessIO, attr{"disk.io.direction", "write"}, detail},
		// Threads that are ready wait for a CPU, for example because of other processes. No Go metric shows it.
		ProcessRunQueueWait: {counter, "gmpulse.process.runqueue_wait.time", "s", "Time the threads of the process waited for a CPU.", attr{}, always},

		// GOMAXPROCS above it means throttling, below it idle CPUs.
		CPUUsable: {gauge, "gmpulse.cpu.usable", "{cpu}", "CPUs this process may use: the least of affinity and cgroup quota.", attr{}, always},

		// GOMAXPROCS should be equal to it.
		CgroupCPUQuota: {gauge, "gmpulse.cgroup.cpu.quota", "{cpu}", "CPUs that the tightest control group above the process allows; absent when unlimited.", attr{}, always},
		// A throttled process does not run, which adds latency that no other metric explains.
		CgroupCPUPeriods:       {counter, "gmpulse.cgroup.cpu.periods", "{period}", "Periods in which the CPU quota was enforced.", attr{}, always},
		CgroupCPUThrottled:     {counter, "gmpulse.cgroup.cpu.throttled_periods", "{period}", "Periods in which the process was throttled.", attr{}, always},
		CgroupCPUThrottledTime: {counter, "gmpulse.cgroup.cpu.throttled.time", "s", "Time that the process was throttled.", attr{}, always},
		// At the limit the OOM killer ends a process.
		CgroupMemoryUsage:      {upDown, "gmpulse.cgroup.memory.usage", "By", "Memory charged to the control group, page cache included.", attr{}, detail},
		CgroupMemoryWorkingSet: {upDown, "gmpulse.cgroup.memory.working_set", "By", "Memory charged to the control group less inactive page cache.", attr{}, always},
		CgroupMemoryMax:        {gauge, "gmpulse.cgroup.memory.max", "By", "Hard memory limit of the tightest control group; absent when unlimited.", attr{}, always},
		CgroupMemoryHigh:       {gauge, "gmpulse.cgroup.memory.high", "By", "Memory above which the kernel slows the control group down; absent when unlimited.", attr{}, detail},
		// These prove that the limit was reached; pressure is only a hint.
		CgroupMemoryOOM:     {counter, "gmpulse.cgroup.memory.oom", "{event}", "Times the control group ran out of memory.", attr{}, detail},
		CgroupMemoryOOMKill: {counter, "gmpulse.cgroup.memory.oom_kills", "{process}", "Processes of the control group killed for lack of memory.", attr{}, always},
		// Pressure: time that some or all tasks of the container waited for a resource.
		CgroupPressureCPUSome:    {counter, "gmpulse.cgroup.pressure.cpu.time", "s", helpCgroupCPU, attr{"gmpulse.pressure.stalled", "some"}, always},
		CgroupPressureCPUFull:    {counter, "gmpulse.cgroup.pressure.cpu.time", "s", helpCgroupCPU, attr{"gmpulse.pressure.stalled", "full"}, detail},
		CgroupPressureMemorySome: {counter, "gmpulse.cgroup.pressure.memory.time", "s", helpCgroupMemory, attr{"gmpulse.pressure.stalled", "some"}, detail},
		CgroupPressureMemoryFull: {counter, "gmpulse.cgroup.pressure.memory.time", "s", helpCgroupMemory, attr{"gmpulse.pressure.stalled", "full"}, always},
		CgroupPressureIOSome:     {counter, "gmpulse.cgroup.pressure.io.time", "s", helpCgroupIO, attr{"gmpulse.pressure.stalled", "some"}, detail},
		CgroupPressureIOFull:     {counter, "gmpulse.cgroup.pressure.io.time", "s", helpCgroupIO, attr{"gmpulse.pressure.stalled", "full"}, always},

		// Shows whether this process or others use the machine. Steal is time of other virtual machines.
		SystemCPUUser:      {counter, "system.cpu.time", "s", helpSystemCPU, attr{"cpu.mode", "user"}, detail},
		SystemCPUNice:      {counter, "system.cpu.time", "s", helpSystemCPU, attr{"cpu.mode", "nice"}, detail},
		SystemCPUSystem:    {counter, "system.cpu.time", "s", helpSystemCPU, attr{"cpu.mode", "system"}, detail},
		SystemCPUIdle:      {counter, "system.cpu.time", "s", helpSystemCPU, attr{"cpu.mode", "idle"}, detail},
		SystemCPUIOWait:    {counter, "system.cpu.time", "s", helpSystemCPU, attr{"cpu.mode", "iowait"}, detail},
		SystemCPUInterrupt: {counter, "system.cpu.time", "s", helpSystemCPU, attr{"cpu.mode", "interrupt"}, detail},
		SystemCPUSteal:     {counter, "system.cpu.time", "s", helpSystemCPU, attr{"cpu.mode", "steal"}, detail},
		SystemCPULogical:   {upDown, "system.cpu.logical.count", "{cpu}", "Logical CPUs of the machine.", attr{}, detail},
		// Names of the host receiver of the OpenTelemetry Collector.
		SystemLoad1:  {gauge, "system.cpu.load_average.1m", "{thread}", "Load average over 1 minute.", attr{}, detail},
		SystemLoad5:  {gauge, "system.cpu.load_average.5m", "{thread}", "Load average over 5 minutes.", attr{}, detail},
		SystemLoad15: {gauge, "system.cpu.load_average.15m", "{thread}", "Load average over 15 minutes.", attr{}, detail},
		// The limit if the container has none.
		SystemMemoryTotal:     {upDown, "system.memory.limit", "By", "Memory of the machine.", attr{}, detail},
		SystemMemoryUsed:      {upDown, "system.memory.usage", "By", helpSystemMemory, attr{"system.memory.state", "used"}, detail},
		SystemMemoryFree:      {upDown, "system.memory.usage", "By", helpSystemMemory, attr{"system.memory.state", "free"}, detail},
		SystemMemoryCached:    {upDown, "system.memory.usage", "By", helpSystemMemory, attr{"system.memory.state", "cached"}, detail},
		SystemMemoryBuffers:   {upDown, "system.memory.usage", "By", helpSystemMemory, attr{"system.memory.state", "buffers"}, detail},
		SystemMemoryAvailable: {upDown, "system.memory.linux.available", "By", "Memory that can be had without swapping.", attr{}, detail},
		// Garbage collection is very slow if the heap is in swap.
		SystemSwapUsed: {upDown, "system.paging.usage", "By", helpSwap, attr{"system.paging.state", "used"}, detail},
		SystemSwapFree: {upDown, "system.paging.usage", "By", helpSwap, attr{"system.paging.state", "free"}, detail},
		// Sums over devices. Host agents have values for each device.
		SystemDiskReadBytes:  {counter, "system.disk.io", "By", helpDiskIO, attr{"disk.io.direction", "read"}, detail},
		SystemDiskWriteBytes: {counter, "system.disk.io", "By", helpDiskIO, attr{"disk.io.direction", "write"}, detail},
		SystemDiskReads:      {counter, "system.disk.operations", "{operation}", helpDiskOps, attr{"disk.io.direction", "read"}, detail},
		SystemDiskWrites:     {counter, "system.disk.operations", "{operation}", helpDiskOps, attr{"disk.io.direction", "write"}, detail},
		// Errors and drops explain timeouts that no stack shows.
		SystemNetworkReceiveBytes:    {counter, "system.network.io", "By", helpNetIO, attr{"network.io.direction", "receive"}, detail},
		SystemNetworkTransmitBytes:   {counter, "system.network.io", "By", helpNetIO, attr{"network.io.direction", "transmit"}, detail},
		SystemNetworkReceiveErrors:   {counter, "system.network.errors", "{error}", helpNetErrors, attr{"network.io.direction", "receive"}, detail},
		SystemNetworkTransmitErrors:  {counter, "system.network.errors", "{error}", helpNetErrors, attr{"network.io.direction", "transmit"}, detail},
		SystemNetworkReceiveDropped:  {counter, "system.network.packet.dropped", "{packet}", helpNetDrops, attr{"network.io.direction", "receive"}, detail},
		SystemNetworkTransmitDropped: {counter, "system.network.packet.dropped", "{packet}", helpNetDrops, attr{"network.io.direction", "transmit"}, detail},
		// For machines whose control groups have no pressure values.
		SystemPressureCPUSome:    {counter, "gmpulse.system.pressure.cpu.time", "s", helpMachineCPU, attr{"gmpulse.pressure.stalled", "some"}, detail},
		SystemPressureMemorySome: {counter, "gmpulse.system.pressure.memory.time", "s", helpMachineMemory, attr{"gmpulse.pressure.stalled", "some"}, detail},
		SystemPressureMemoryFull: {counter, "gmpulse.system.pressure.memory.time", "s", helpMachineMemory, attr{"gmpulse.pressure.stalled", "full"}, detail},
		SystemPressureIOSome:     {counter, "gmpulse.system.pressure.io.time", "s", helpMachineIO, attr{"gmpulse.pressure.stalled", "some"}, detail},
		SystemPressureIOFull:     {counter, "gmpulse.system.pressure.io.time", "s", helpMachineIO, attr{"gmpulse.pressure.stalled", "full"}, detail},
	}
	for f := range rows {
		r := &rows[f]
		all[f] = runtimeinfo.Metric{
			Name: r.name, Unit: r.unit, Kind: r.kind, Help: r.help, Detail: r.detail,
			Attr: runtimeinfo.Attr{Key: r.attr.key, Value: r.attr.value},
		}
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

// row is a metric as the table has it. The rows are constants: the compiler stores them as data, where
// calls of functions for 65 metrics would be 36 KB of code.
type row struct {
	kind             runtimeinfo.Kind
	name, unit, help string
	attr             attr
	detail           bool
}

type attr struct{ key, value string }

const (
	gauge   = runtimeinfo.KindGauge
	upDown  = runtimeinfo.KindUpDownCounter
	counter = runtimeinfo.KindCounter

	// detail marks a metric that is not in the default set. Most values of the machine are for an agent
	// of the host to export, and once for all its processes.
	detail = true
	always = false
)
