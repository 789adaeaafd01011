// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"github.com/gmpulse/gmpulse/internal/hostfield"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// What the operating system tells: of this process, of the container (the
// control group) that it lives in, and of the machine. All of it comes from the
// host pass, which is slower than the tick.

func processRows() []row {
	return in(runtimeinfo.SubsystemProcess, []row{
		// CPU time by the kernel's account: unlike go.cpu.time it moves at all times and includes cgo.
		{runtimeinfo.Metric{Name: "process.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpProcessCPU, Attr: attr("cpu.mode", "user")}, fromHost(hostfield.ProcessCPUUser)},
		{runtimeinfo.Metric{Name: "process.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpProcessCPU, Attr: attr("cpu.mode", "system")}, fromHost(hostfield.ProcessCPUSystem)},
		// What the machine and the OOM killer see of us.
		{runtimeinfo.Metric{Name: "process.memory.usage", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Headline: true, Help: "Resident memory of the process."}, fromHost(hostfield.ProcessMemoryRSS)},
		{runtimeinfo.Metric{Name: "process.memory.virtual", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Address space of the process."}, fromHost(hostfield.ProcessMemoryVirtual)},
		// Counts threads of cgo libraries too, which gmpulse.threads does not.
		{runtimeinfo.Metric{Name: "process.thread.count", Unit: "{thread}", Kind: runtimeinfo.KindUpDownCounter, Help: "Threads of the process."}, fromHost(hostfield.ProcessThreads)},
		// Leaked connections end here: "too many open files".
		{runtimeinfo.Metric{Name: "process.unix.file_descriptor.count", Unit: "{file_descriptor}", Kind: runtimeinfo.KindUpDownCounter, Help: "Open file descriptors of the process."}, fromHost(hostfield.ProcessFDs)},
		{runtimeinfo.Metric{Name: "gmpulse.process.file_descriptor_limit", Unit: "{file_descriptor}", Kind: runtimeinfo.KindGauge, Help: "Open file descriptors allowed (soft limit); absent when unlimited."}, fromHost(hostfield.ProcessFDLimit)},
		// Involuntary switches: others want our CPUs. Voluntary ones: threads block in syscalls.
		{runtimeinfo.Metric{Name: "process.context_switches", Unit: "{context_switch}", Kind: runtimeinfo.KindCounter, Help: helpSwitches, Attr: attr("process.context_switch.type", "voluntary")}, fromHost(hostfield.ProcessContextSwitchesVoluntary)},
		{runtimeinfo.Metric{Name: "process.context_switches", Unit: "{context_switch}", Kind: runtimeinfo.KindCounter, Help: helpSwitches, Attr: attr("process.context_switch.type", "involuntary")}, fromHost(hostfield.ProcessContextSwitchesInvoluntary)},
		// Major faults wait for storage: the memory is short, whatever the heap says.
		{runtimeinfo.Metric{Name: "process.paging.faults", Unit: "{fault}", Kind: runtimeinfo.KindCounter, Help: helpFaults, Attr: attr("system.paging.fault.type", "minor")}, fromHost(hostfield.ProcessFaultsMinor)},
		{runtimeinfo.Metric{Name: "process.paging.faults", Unit: "{fault}", Kind: runtimeinfo.KindCounter, Help: helpFaults, Attr: attr("system.paging.fault.type", "major")}, fromHost(hostfield.ProcessFaultsMajor)},
		// Our own part of the disk traffic below.
		{runtimeinfo.Metric{Name: "process.disk.io", Unit: "By", Kind: runtimeinfo.KindCounter, Help: helpProcessIO, Attr: attr("disk.io.direction", "read")}, fromHost(hostfield.ProcessDiskRead)},
		{runtimeinfo.Metric{Name: "process.disk.io", Unit: "By", Kind: runtimeinfo.KindCounter, Help: helpProcessIO, Attr: attr("disk.io.direction", "write")}, fromHost(hostfield.ProcessDiskWrite)},
		// Threads ready to run and kept waiting by the kernel: noisy neighbours, which no Go metric shows.
		{runtimeinfo.Metric{Name: "gmpulse.process.runqueue_wait.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "Time the threads of the process waited for a CPU."}, fromHost(hostfield.ProcessRunQueueWait)},
	})
}

func containerRows() []row {
	return in(runtimeinfo.SubsystemContainer, []row{
		// GOMAXPROCS should match it.
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.cpu.quota", Unit: "{cpu}", Kind: runtimeinfo.KindGauge, Help: "CPUs that the tightest control group above the process allows; absent when unlimited."}, fromHost(hostfield.CgroupCPUQuota)},
		// Throttling is latency that looks like nothing: the process simply does not run.
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.cpu.periods", Unit: "{period}", Kind: runtimeinfo.KindCounter, Help: "Periods in which the CPU quota was enforced."}, fromHost(hostfield.CgroupCPUPeriods)},
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.cpu.throttled_periods", Unit: "{period}", Kind: runtimeinfo.KindCounter, Help: "Periods in which the process was throttled."}, fromHost(hostfield.CgroupCPUThrottled)},
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.cpu.throttled.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "Time that the process was throttled."}, fromHost(hostfield.CgroupCPUThrottledTime)},
		// The wall that the OOM killer guards, and how near it is.
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.memory.usage", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Memory charged to the control group, page cache included."}, fromHost(hostfield.CgroupMemoryUsage)},
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.memory.working_set", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Memory charged to the control group less inactive page cache."}, fromHost(hostfield.CgroupMemoryWorkingSet)},
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.memory.max", Unit: "By", Kind: runtimeinfo.KindGauge, Help: "Hard memory limit of the tightest control group; absent when unlimited."}, fromHost(hostfield.CgroupMemoryMax)},
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.memory.high", Unit: "By", Kind: runtimeinfo.KindGauge, Help: "Memory above which the kernel slows the control group down; absent when unlimited."}, fromHost(hostfield.CgroupMemoryHigh)},
		// Proof that the limit was hit, where pressure is only a hint.
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.memory.oom", Unit: "{event}", Kind: runtimeinfo.KindCounter, Help: "Times the control group ran out of memory."}, fromHost(hostfield.CgroupMemoryOOM)},
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.memory.oom_kills", Unit: "{process}", Kind: runtimeinfo.KindCounter, Help: "Processes of the control group killed for lack of memory."}, fromHost(hostfield.CgroupMemoryOOMKill)},
		// Pressure: time that some, or all, tasks of the container stood still for want of a resource.
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.pressure.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpCgroupCPU, Attr: stalled("some")}, fromHost(hostfield.CgroupPressureCPUSome)},
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.pressure.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpCgroupCPU, Attr: stalled("full")}, fromHost(hostfield.CgroupPressureCPUFull)},
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.pressure.memory.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpCgroupMemory, Attr: stalled("some")}, fromHost(hostfield.CgroupPressureMemorySome)},
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.pressure.memory.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpCgroupMemory, Attr: stalled("full")}, fromHost(hostfield.CgroupPressureMemoryFull)},
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.pressure.io.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpCgroupIO, Attr: stalled("some")}, fromHost(hostfield.CgroupPressureIOSome)},
		{runtimeinfo.Metric{Name: "gmpulse.cgroup.pressure.io.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpCgroupIO, Attr: stalled("full")}, fromHost(hostfield.CgroupPressureIOFull)},
	})
}

func systemRows() []row {
	return in(runtimeinfo.SubsystemSystem, []row{
		// Is it us or the machine? Steal is a neighbour on the same hypervisor.
		{runtimeinfo.Metric{Name: "system.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpSystemCPU, Attr: attr("cpu.mode", "user")}, fromHost(hostfield.SystemCPUUser)},
		{runtimeinfo.Metric{Name: "system.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpSystemCPU, Attr: attr("cpu.mode", "nice")}, fromHost(hostfield.SystemCPUNice)},
		{runtimeinfo.Metric{Name: "system.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpSystemCPU, Attr: attr("cpu.mode", "system")}, fromHost(hostfield.SystemCPUSystem)},
		{runtimeinfo.Metric{Name: "system.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpSystemCPU, Attr: attr("cpu.mode", "idle")}, fromHost(hostfield.SystemCPUIdle)},
		{runtimeinfo.Metric{Name: "system.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpSystemCPU, Attr: attr("cpu.mode", "iowait")}, fromHost(hostfield.SystemCPUIOWait)},
		{runtimeinfo.Metric{Name: "system.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpSystemCPU, Attr: attr("cpu.mode", "interrupt")}, fromHost(hostfield.SystemCPUInterrupt)},
		{runtimeinfo.Metric{Name: "system.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: helpSystemCPU, Attr: attr("cpu.mode", "steal")}, fromHost(hostfield.SystemCPUSteal)},
		{runtimeinfo.Metric{Name: "system.cpu.logical.count", Unit: "{cpu}", Kind: runtimeinfo.KindUpDownCounter, Help: "Logical CPUs of the machine."}, fromHost(hostfield.SystemCPULogical)},
		// The first number an operator looks at. Names as the OpenTelemetry Collector's host receiver has them.
		{runtimeinfo.Metric{Name: "system.cpu.load_average.1m", Unit: "{thread}", Kind: runtimeinfo.KindGauge, Help: "Load average over 1 minute."}, fromHost(hostfield.SystemLoad1)},
		{runtimeinfo.Metric{Name: "system.cpu.load_average.5m", Unit: "{thread}", Kind: runtimeinfo.KindGauge, Help: "Load average over 5 minutes."}, fromHost(hostfield.SystemLoad5)},
		{runtimeinfo.Metric{Name: "system.cpu.load_average.15m", Unit: "{thread}", Kind: runtimeinfo.KindGauge, Help: "Load average over 15 minutes."}, fromHost(hostfield.SystemLoad15)},
		// Without a container limit this is the wall.
		{runtimeinfo.Metric{Name: "system.memory.limit", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Memory of the machine."}, fromHost(hostfield.SystemMemoryTotal)},
		{runtimeinfo.Metric{Name: "system.memory.usage", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: helpSystemMemory, Attr: attr("system.memory.state", "used")}, fromHost(hostfield.SystemMemoryUsed)},
		{runtimeinfo.Metric{Name: "system.memory.usage", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: helpSystemMemory, Attr: attr("system.memory.state", "free")}, fromHost(hostfield.SystemMemoryFree)},
		{runtimeinfo.Metric{Name: "system.memory.usage", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: helpSystemMemory, Attr: attr("system.memory.state", "cached")}, fromHost(hostfield.SystemMemoryCached)},
		{runtimeinfo.Metric{Name: "system.memory.usage", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: helpSystemMemory, Attr: attr("system.memory.state", "buffers")}, fromHost(hostfield.SystemMemoryBuffers)},
		{runtimeinfo.Metric{Name: "system.memory.linux.available", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Memory that can be had without swapping."}, fromHost(hostfield.SystemMemoryAvailable)},
		// A Go heap in swap makes every collection crawl.
		{runtimeinfo.Metric{Name: "system.paging.usage", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: helpSwap, Attr: attr("system.paging.state", "used")}, fromHost(hostfield.SystemSwapUsed)},
		{runtimeinfo.Metric{Name: "system.paging.usage", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: helpSwap, Attr: attr("system.paging.state", "free")}, fromHost(hostfield.SystemSwapFree)},
		// Sums over devices: per-device detail is a host agent's job.
		{runtimeinfo.Metric{Name: "system.disk.io", Unit: "By", Kind: runtimeinfo.KindCounter, Help: "Bytes moved by whole disks.", Attr: attr("disk.io.direction", "read")}, fromHost(hostfield.SystemDiskReadBytes)},
		{runtimeinfo.Metric{Name: "system.disk.io", Unit: "By", Kind: runtimeinfo.KindCounter, Help: "Bytes moved by whole disks.", Attr: attr("disk.io.direction", "write")}, fromHost(hostfield.SystemDiskWriteBytes)},
		{runtimeinfo.Metric{Name: "system.disk.operations", Unit: "{operation}", Kind: runtimeinfo.KindCounter, Help: "Operations of whole disks.", Attr: attr("disk.io.direction", "read")}, fromHost(hostfield.SystemDiskReads)},
		{runtimeinfo.Metric{Name: "system.disk.operations", Unit: "{operation}", Kind: runtimeinfo.KindCounter, Help: "Operations of whole disks.", Attr: attr("disk.io.direction", "write")}, fromHost(hostfield.SystemDiskWrites)},
		// Errors and drops explain timeouts that no stack shows.
		{runtimeinfo.Metric{Name: "system.network.io", Unit: "By", Kind: runtimeinfo.KindCounter, Help: "Bytes through network interfaces, loopback excluded.", Attr: direction("receive")}, fromHost(hostfield.SystemNetworkReceiveBytes)},
		{runtimeinfo.Metric{Name: "system.network.io", Unit: "By", Kind: runtimeinfo.KindCounter, Help: "Bytes through network interfaces, loopback excluded.", Attr: direction("transmit")}, fromHost(hostfield.SystemNetworkTransmitBytes)},
		{runtimeinfo.Metric{Name: "system.network.errors", Unit: "{error}", Kind: runtimeinfo.KindCounter, Help: "Errors on network interfaces, loopback excluded.", Attr: direction("receive")}, fromHost(hostfield.SystemNetworkReceiveErrors)},
		{runtimeinfo.Metric{Name: "system.network.errors", Unit: "{error}", Kind: runtimeinfo.KindCounter, Help: "Errors on network interfaces, loopback excluded.", Attr: direction("transmit")}, fromHost(hostfield.SystemNetworkTransmitErrors)},
		{runtimeinfo.Metric{Name: "system.network.packet.dropped", Unit: "{packet}", Kind: runtimeinfo.KindCounter, Help: "Packets dropped by network interfaces, loopback excluded.", Attr: direction("receive")}, fromHost(hostfield.SystemNetworkReceiveDropped)},
		{runtimeinfo.Metric{Name: "system.network.packet.dropped", Unit: "{packet}", Kind: runtimeinfo.KindCounter, Help: "Packets dropped by network interfaces, loopback excluded.", Attr: direction("transmit")}, fromHost(hostfield.SystemNetworkTransmitDropped)},
		// The machine's pressure, for where the container has none of its own.
		{runtimeinfo.Metric{Name: "gmpulse.system.pressure.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "Time that tasks of the machine were stalled for CPU.", Attr: stalled("some")}, fromHost(hostfield.SystemPressureCPUSome)},
		{runtimeinfo.Metric{Name: "gmpulse.system.pressure.memory.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "Time that tasks of the machine were stalled for memory.", Attr: stalled("some")}, fromHost(hostfield.SystemPressureMemorySome)},
		{runtimeinfo.Metric{Name: "gmpulse.system.pressure.memory.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "Time that tasks of the machine were stalled for memory.", Attr: stalled("full")}, fromHost(hostfield.SystemPressureMemoryFull)},
		{runtimeinfo.Metric{Name: "gmpulse.system.pressure.io.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "Time that tasks of the machine were stalled for I/O.", Attr: stalled("some")}, fromHost(hostfield.SystemPressureIOSome)},
		{runtimeinfo.Metric{Name: "gmpulse.system.pressure.io.time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "Time that tasks of the machine were stalled for I/O.", Attr: stalled("full")}, fromHost(hostfield.SystemPressureIOFull)},
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
func stalled(share string) runtimeinfo.Attr {
	return attr("gmpulse.pressure.stalled", share)
}

func direction(d string) runtimeinfo.Attr { return attr("network.io.direction", d) }
