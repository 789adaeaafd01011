// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "github.com/gmpulse/gmpulse/runtimeinfo/host"

// What the operating system tells: of this process, of the container (the
// control group) that it lives in, and of the machine. All of it comes from the
// host pass, which is slower than the tick.

func processRows() []Metric {
	return in(SubsystemProcess, []Metric{
		// CPU time by the kernel's account: unlike go.cpu.time it moves at all times and includes cgo.
		{Name: "process.cpu.time", Unit: "s", Kind: KindCounter, Help: helpProcessCPU, Attr: Attr{"cpu.mode", "user"}, source: fromHost(host.ProcessCPUUser)},
		{Name: "process.cpu.time", Unit: "s", Kind: KindCounter, Help: helpProcessCPU, Attr: Attr{"cpu.mode", "system"}, source: fromHost(host.ProcessCPUSystem)},
		// What the machine and the OOM killer see of us.
		{Name: "process.memory.usage", Unit: "By", Kind: KindUpDownCounter, Headline: true, Help: "Resident memory of the process.", source: fromHost(host.ProcessMemoryRSS)},
		{Name: "process.memory.virtual", Unit: "By", Kind: KindUpDownCounter, Help: "Address space of the process.", source: fromHost(host.ProcessMemoryVirtual)},
		// Counts threads of cgo libraries too, which gmpulse.threads does not.
		{Name: "process.thread.count", Unit: "{thread}", Kind: KindUpDownCounter, Help: "Threads of the process.", source: fromHost(host.ProcessThreads)},
		// Leaked connections end here: "too many open files".
		{Name: "process.unix.file_descriptor.count", Unit: "{file_descriptor}", Kind: KindUpDownCounter, Help: "Open file descriptors of the process.", source: fromHost(host.ProcessFDs)},
		{Name: "gmpulse.process.file_descriptor_limit", Unit: "{file_descriptor}", Kind: KindGauge, Help: "Open file descriptors allowed (soft limit); absent when unlimited.", source: fromHost(host.ProcessFDLimit)},
		// Involuntary switches: others want our CPUs. Voluntary ones: threads block in syscalls.
		{Name: "process.context_switches", Unit: "{context_switch}", Kind: KindCounter, Help: helpSwitches, Attr: Attr{"process.context_switch.type", "voluntary"}, source: fromHost(host.ProcessContextSwitchesVoluntary)},
		{Name: "process.context_switches", Unit: "{context_switch}", Kind: KindCounter, Help: helpSwitches, Attr: Attr{"process.context_switch.type", "involuntary"}, source: fromHost(host.ProcessContextSwitchesInvoluntary)},
		// Major faults wait for storage: the memory is short, whatever the heap says.
		{Name: "process.paging.faults", Unit: "{fault}", Kind: KindCounter, Help: helpFaults, Attr: Attr{"system.paging.fault.type", "minor"}, source: fromHost(host.ProcessFaultsMinor)},
		{Name: "process.paging.faults", Unit: "{fault}", Kind: KindCounter, Help: helpFaults, Attr: Attr{"system.paging.fault.type", "major"}, source: fromHost(host.ProcessFaultsMajor)},
		// Our own part of the disk traffic below.
		{Name: "process.disk.io", Unit: "By", Kind: KindCounter, Help: helpProcessIO, Attr: Attr{"disk.io.direction", "read"}, source: fromHost(host.ProcessDiskRead)},
		{Name: "process.disk.io", Unit: "By", Kind: KindCounter, Help: helpProcessIO, Attr: Attr{"disk.io.direction", "write"}, source: fromHost(host.ProcessDiskWrite)},
		// Threads ready to run and kept waiting by the kernel: noisy neighbours, which no Go metric shows.
		{Name: "gmpulse.process.runqueue_wait.time", Unit: "s", Kind: KindCounter, Help: "Time the threads of the process waited for a CPU.", source: fromHost(host.ProcessRunQueueWait)},
	})
}

func containerRows() []Metric {
	return in(SubsystemContainer, []Metric{
		// GOMAXPROCS should match it.
		{Name: "gmpulse.cgroup.cpu.quota", Unit: "{cpu}", Kind: KindGauge, Help: "CPUs that the tightest control group above the process allows; absent when unlimited.", source: fromHost(host.CgroupCPUQuota)},
		// Throttling is latency that looks like nothing: the process simply does not run.
		{Name: "gmpulse.cgroup.cpu.periods", Unit: "{period}", Kind: KindCounter, Help: "Periods in which the CPU quota was enforced.", source: fromHost(host.CgroupCPUPeriods)},
		{Name: "gmpulse.cgroup.cpu.throttled_periods", Unit: "{period}", Kind: KindCounter, Help: "Periods in which the process was throttled.", source: fromHost(host.CgroupCPUThrottled)},
		{Name: "gmpulse.cgroup.cpu.throttled.time", Unit: "s", Kind: KindCounter, Help: "Time that the process was throttled.", source: fromHost(host.CgroupCPUThrottledTime)},
		// The wall that the OOM killer guards, and how near it is.
		{Name: "gmpulse.cgroup.memory.usage", Unit: "By", Kind: KindUpDownCounter, Help: "Memory charged to the control group, page cache included.", source: fromHost(host.CgroupMemoryUsage)},
		{Name: "gmpulse.cgroup.memory.working_set", Unit: "By", Kind: KindUpDownCounter, Help: "Memory charged to the control group less inactive page cache.", source: fromHost(host.CgroupMemoryWorkingSet)},
		{Name: "gmpulse.cgroup.memory.max", Unit: "By", Kind: KindGauge, Help: "Hard memory limit of the tightest control group; absent when unlimited.", source: fromHost(host.CgroupMemoryMax)},
		{Name: "gmpulse.cgroup.memory.high", Unit: "By", Kind: KindGauge, Help: "Memory above which the kernel slows the control group down; absent when unlimited.", source: fromHost(host.CgroupMemoryHigh)},
		// Proof that the limit was hit, where pressure is only a hint.
		{Name: "gmpulse.cgroup.memory.oom", Unit: "{event}", Kind: KindCounter, Help: "Times the control group ran out of memory.", source: fromHost(host.CgroupMemoryOOM)},
		{Name: "gmpulse.cgroup.memory.oom_kills", Unit: "{process}", Kind: KindCounter, Help: "Processes of the control group killed for lack of memory.", source: fromHost(host.CgroupMemoryOOMKill)},
		// Pressure: time that some, or all, tasks of the container stood still for want of a resource.
		{Name: "gmpulse.cgroup.pressure.cpu.time", Unit: "s", Kind: KindCounter, Help: helpCgroupCPU, Attr: stalled("some"), source: fromHost(host.CgroupPressureCPUSome)},
		{Name: "gmpulse.cgroup.pressure.cpu.time", Unit: "s", Kind: KindCounter, Help: helpCgroupCPU, Attr: stalled("full"), source: fromHost(host.CgroupPressureCPUFull)},
		{Name: "gmpulse.cgroup.pressure.memory.time", Unit: "s", Kind: KindCounter, Help: helpCgroupMemory, Attr: stalled("some"), source: fromHost(host.CgroupPressureMemorySome)},
		{Name: "gmpulse.cgroup.pressure.memory.time", Unit: "s", Kind: KindCounter, Help: helpCgroupMemory, Attr: stalled("full"), source: fromHost(host.CgroupPressureMemoryFull)},
		{Name: "gmpulse.cgroup.pressure.io.time", Unit: "s", Kind: KindCounter, Help: helpCgroupIO, Attr: stalled("some"), source: fromHost(host.CgroupPressureIOSome)},
		{Name: "gmpulse.cgroup.pressure.io.time", Unit: "s", Kind: KindCounter, Help: helpCgroupIO, Attr: stalled("full"), source: fromHost(host.CgroupPressureIOFull)},
	})
}

func systemRows() []Metric {
	return in(SubsystemSystem, []Metric{
		// Is it us or the machine? Steal is a neighbour on the same hypervisor.
		{Name: "system.cpu.time", Unit: "s", Kind: KindCounter, Help: helpSystemCPU, Attr: Attr{"cpu.mode", "user"}, source: fromHost(host.SystemCPUUser)},
		{Name: "system.cpu.time", Unit: "s", Kind: KindCounter, Help: helpSystemCPU, Attr: Attr{"cpu.mode", "nice"}, source: fromHost(host.SystemCPUNice)},
		{Name: "system.cpu.time", Unit: "s", Kind: KindCounter, Help: helpSystemCPU, Attr: Attr{"cpu.mode", "system"}, source: fromHost(host.SystemCPUSystem)},
		{Name: "system.cpu.time", Unit: "s", Kind: KindCounter, Help: helpSystemCPU, Attr: Attr{"cpu.mode", "idle"}, source: fromHost(host.SystemCPUIdle)},
		{Name: "system.cpu.time", Unit: "s", Kind: KindCounter, Help: helpSystemCPU, Attr: Attr{"cpu.mode", "iowait"}, source: fromHost(host.SystemCPUIOWait)},
		{Name: "system.cpu.time", Unit: "s", Kind: KindCounter, Help: helpSystemCPU, Attr: Attr{"cpu.mode", "interrupt"}, source: fromHost(host.SystemCPUInterrupt)},
		{Name: "system.cpu.time", Unit: "s", Kind: KindCounter, Help: helpSystemCPU, Attr: Attr{"cpu.mode", "steal"}, source: fromHost(host.SystemCPUSteal)},
		{Name: "system.cpu.logical.count", Unit: "{cpu}", Kind: KindUpDownCounter, Help: "Logical CPUs of the machine.", source: fromHost(host.SystemCPULogical)},
		// The first number an operator looks at. Names as the OpenTelemetry Collector's host receiver has them.
		{Name: "system.cpu.load_average.1m", Unit: "{thread}", Kind: KindGauge, Help: "Load average over 1 minute.", source: fromHost(host.SystemLoad1)},
		{Name: "system.cpu.load_average.5m", Unit: "{thread}", Kind: KindGauge, Help: "Load average over 5 minutes.", source: fromHost(host.SystemLoad5)},
		{Name: "system.cpu.load_average.15m", Unit: "{thread}", Kind: KindGauge, Help: "Load average over 15 minutes.", source: fromHost(host.SystemLoad15)},
		// Without a container limit this is the wall.
		{Name: "system.memory.limit", Unit: "By", Kind: KindUpDownCounter, Help: "Memory of the machine.", source: fromHost(host.SystemMemoryTotal)},
		{Name: "system.memory.usage", Unit: "By", Kind: KindUpDownCounter, Help: helpSystemMemory, Attr: Attr{"system.memory.state", "used"}, source: fromHost(host.SystemMemoryUsed)},
		{Name: "system.memory.usage", Unit: "By", Kind: KindUpDownCounter, Help: helpSystemMemory, Attr: Attr{"system.memory.state", "free"}, source: fromHost(host.SystemMemoryFree)},
		{Name: "system.memory.usage", Unit: "By", Kind: KindUpDownCounter, Help: helpSystemMemory, Attr: Attr{"system.memory.state", "cached"}, source: fromHost(host.SystemMemoryCached)},
		{Name: "system.memory.usage", Unit: "By", Kind: KindUpDownCounter, Help: helpSystemMemory, Attr: Attr{"system.memory.state", "buffers"}, source: fromHost(host.SystemMemoryBuffers)},
		{Name: "system.memory.linux.available", Unit: "By", Kind: KindUpDownCounter, Help: "Memory that can be had without swapping.", source: fromHost(host.SystemMemoryAvailable)},
		// A Go heap in swap makes every collection crawl.
		{Name: "system.paging.usage", Unit: "By", Kind: KindUpDownCounter, Help: helpSwap, Attr: Attr{"system.paging.state", "used"}, source: fromHost(host.SystemSwapUsed)},
		{Name: "system.paging.usage", Unit: "By", Kind: KindUpDownCounter, Help: helpSwap, Attr: Attr{"system.paging.state", "free"}, source: fromHost(host.SystemSwapFree)},
		// Sums over devices: per-device detail is a host agent's job.
		{Name: "system.disk.io", Unit: "By", Kind: KindCounter, Help: "Bytes moved by whole disks.", Attr: Attr{"disk.io.direction", "read"}, source: fromHost(host.SystemDiskReadBytes)},
		{Name: "system.disk.io", Unit: "By", Kind: KindCounter, Help: "Bytes moved by whole disks.", Attr: Attr{"disk.io.direction", "write"}, source: fromHost(host.SystemDiskWriteBytes)},
		{Name: "system.disk.operations", Unit: "{operation}", Kind: KindCounter, Help: "Operations of whole disks.", Attr: Attr{"disk.io.direction", "read"}, source: fromHost(host.SystemDiskReads)},
		{Name: "system.disk.operations", Unit: "{operation}", Kind: KindCounter, Help: "Operations of whole disks.", Attr: Attr{"disk.io.direction", "write"}, source: fromHost(host.SystemDiskWrites)},
		// Errors and drops explain timeouts that no stack shows.
		{Name: "system.network.io", Unit: "By", Kind: KindCounter, Help: "Bytes through network interfaces, loopback excluded.", Attr: direction("receive"), source: fromHost(host.SystemNetworkReceiveBytes)},
		{Name: "system.network.io", Unit: "By", Kind: KindCounter, Help: "Bytes through network interfaces, loopback excluded.", Attr: direction("transmit"), source: fromHost(host.SystemNetworkTransmitBytes)},
		{Name: "system.network.errors", Unit: "{error}", Kind: KindCounter, Help: "Errors on network interfaces, loopback excluded.", Attr: direction("receive"), source: fromHost(host.SystemNetworkReceiveErrors)},
		{Name: "system.network.errors", Unit: "{error}", Kind: KindCounter, Help: "Errors on network interfaces, loopback excluded.", Attr: direction("transmit"), source: fromHost(host.SystemNetworkTransmitErrors)},
		{Name: "system.network.packet.dropped", Unit: "{packet}", Kind: KindCounter, Help: "Packets dropped by network interfaces, loopback excluded.", Attr: direction("receive"), source: fromHost(host.SystemNetworkReceiveDropped)},
		{Name: "system.network.packet.dropped", Unit: "{packet}", Kind: KindCounter, Help: "Packets dropped by network interfaces, loopback excluded.", Attr: direction("transmit"), source: fromHost(host.SystemNetworkTransmitDropped)},
		// The machine's pressure, for where the container has none of its own.
		{Name: "gmpulse.system.pressure.cpu.time", Unit: "s", Kind: KindCounter, Help: "Time that tasks of the machine were stalled for CPU.", Attr: stalled("some"), source: fromHost(host.SystemPressureCPUSome)},
		{Name: "gmpulse.system.pressure.memory.time", Unit: "s", Kind: KindCounter, Help: "Time that tasks of the machine were stalled for memory.", Attr: stalled("some"), source: fromHost(host.SystemPressureMemorySome)},
		{Name: "gmpulse.system.pressure.memory.time", Unit: "s", Kind: KindCounter, Help: "Time that tasks of the machine were stalled for memory.", Attr: stalled("full"), source: fromHost(host.SystemPressureMemoryFull)},
		{Name: "gmpulse.system.pressure.io.time", Unit: "s", Kind: KindCounter, Help: "Time that tasks of the machine were stalled for I/O.", Attr: stalled("some"), source: fromHost(host.SystemPressureIOSome)},
		{Name: "gmpulse.system.pressure.io.time", Unit: "s", Kind: KindCounter, Help: "Time that tasks of the machine were stalled for I/O.", Attr: stalled("full"), source: fromHost(host.SystemPressureIOFull)},
	})
}

const (
	helpProcessCPU   = "CPU time of the process."
	helpSwitches     = "Context switches of all threads of the process."
	helpFaults       = "Page faults of the process."
	helpProcessIO    = "Bytes that the process caused to be moved from and to storage."
	helpCgroupCPU    = "Time that some or all tasks of the control group were stalled for CPU."
	helpCgroupMemory = "Time that some or all tasks of the control group were stalled for memory."
	helpCgroupIO     = "Time that some or all tasks of the control group were stalled for I/O."
	helpSystemCPU    = "CPU time of the machine, summed over CPUs."
	helpSystemMemory = "Memory of the machine by state."
	helpSwap         = "Swap of the machine by state."
)

// stalled is the attribute of pressure stall information: some or all (full) tasks.
func stalled(share string) Attr { return Attr{"gmpulse.pressure.stalled", share} }

func direction(d string) Attr { return Attr{"network.io.direction", d} }
