// SPDX-License-Identifier: Apache-2.0

// Package hostfield lists the values that package runtimeinfo/host reads.
package hostfield

// Field identifies one value of a host.Sample. Counters are cumulative since the start of
// the process, the control group or the machine.
type Field uint8

// The process, its control group and the machine.
const (
	ProcessCPUUser                    Field = iota // seconds, counter
	ProcessCPUSystem                               // seconds, counter
	ProcessMemoryRSS                               // bytes
	ProcessMemoryVirtual                           // bytes
	ProcessThreads                                 // OS threads
	ProcessFDs                                     // open file descriptors
	ProcessFDLimit                                 // soft limit of open file descriptors; absent when unlimited
	ProcessContextSwitchesVoluntary                // counter, of all threads
	ProcessContextSwitchesInvoluntary              // counter, of all threads
	ProcessFaultsMinor                             // counter
	ProcessFaultsMajor                             // counter
	ProcessDiskRead                                // bytes fetched from storage, counter
	ProcessDiskWrite                               // bytes sent to storage, counter
	ProcessRunQueueWait                            // seconds that threads waited for a CPU, counter

	CPUUsable // CPUs that this process may use: the minimum of affinity mask and control-group quota, possibly a fraction

	CgroupCPUQuota           // CPUs; absent when unlimited
	CgroupCPUPeriods         // counter of enforcement periods
	CgroupCPUThrottled       // counter of throttled periods
	CgroupCPUThrottledTime   // seconds, counter
	CgroupMemoryUsage        // bytes, page cache included
	CgroupMemoryWorkingSet   // bytes, usage without inactive page cache, which the kernel can reclaim at once
	CgroupMemoryMax          // bytes, hard limit; absent when unlimited
	CgroupMemoryHigh         // bytes, throttling limit (v2); absent when unlimited
	CgroupMemoryOOM          // counter: times the limit was hit and allocation failed
	CgroupMemoryOOMKill      // counter of processes killed
	CgroupPressureCPUSome    // seconds, counter
	CgroupPressureCPUFull    // seconds, counter
	CgroupPressureMemorySome // seconds, counter
	CgroupPressureMemoryFull // seconds, counter
	CgroupPressureIOSome     // seconds, counter
	CgroupPressureIOFull     // seconds, counter

	SystemCPUUser                // seconds summed over CPUs, counter; nice and guest excluded
	SystemCPUNice                // seconds, counter
	SystemCPUSystem              // seconds, counter
	SystemCPUIdle                // seconds, counter
	SystemCPUIOWait              // seconds, counter
	SystemCPUInterrupt           // seconds, counter: hard and soft interrupts
	SystemCPUSteal               // seconds, counter
	SystemCPULogical             // logical CPUs of the machine
	SystemLoad1                  // load average over 1 minute
	SystemLoad5                  // load average over 5 minutes
	SystemLoad15                 // load average over 15 minutes
	SystemMemoryTotal            // bytes
	SystemMemoryUsed             // bytes
	SystemMemoryFree             // bytes
	SystemMemoryCached           // bytes
	SystemMemoryBuffers          // bytes
	SystemMemoryAvailable        // bytes available without swapping
	SystemSwapUsed               // bytes
	SystemSwapFree               // bytes
	SystemDiskReadBytes          // counter, whole disks only
	SystemDiskWriteBytes         // counter, whole disks only
	SystemDiskReads              // counter, whole disks only
	SystemDiskWrites             // counter, whole disks only
	SystemNetworkReceiveBytes    // counter, loopback excluded
	SystemNetworkTransmitBytes   // counter, loopback excluded
	SystemNetworkReceiveErrors   // counter, loopback excluded
	SystemNetworkTransmitErrors  // counter, loopback excluded
	SystemNetworkReceiveDropped  // counter, loopback excluded
	SystemNetworkTransmitDropped // counter, loopback excluded
	SystemPressureCPUSome        // seconds, counter
	SystemPressureMemorySome     // seconds, counter
	SystemPressureMemoryFull     // seconds, counter
	SystemPressureIOSome         // seconds, counter
	SystemPressureIOFull         // seconds, counter

	Count int = iota // number of fields
)
