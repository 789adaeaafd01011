// SPDX-License-Identifier: Apache-2.0

// Package hostfield lists the values that package host reads, and their metrics.
package hostfield

// Field identifies one value of a host.Sample. [Metrics] has the unit and the kind. Counters are
// cumulative since the start of the process, the control group or the machine.
type Field uint8

// The fields of the process, its control group and the machine, in the order of the catalogue.
const (
	ProcessCPUUser Field = iota
	ProcessCPUSystem
	ProcessMemoryRSS
	ProcessMemoryVirtual
	ProcessThreads
	ProcessFDs
	ProcessFDLimit
	ProcessContextSwitchesVoluntary
	ProcessContextSwitchesInvoluntary
	ProcessFaultsMinor
	ProcessFaultsMajor
	ProcessDiskRead  // fetched from storage
	ProcessDiskWrite // sent to storage
	ProcessRunQueueWait

	CPUUsable // the minimum of affinity mask and control-group quota, possibly a fraction

	CgroupCPUQuota
	CgroupCPUPeriods
	CgroupCPUThrottled
	CgroupCPUThrottledTime
	CgroupMemoryUsage
	CgroupMemoryWorkingSet // usage without inactive page cache, which the kernel can reclaim at once
	CgroupMemoryMax
	CgroupMemoryHigh // cgroup v2 only
	CgroupMemoryOOM  // times the limit was reached and an allocation failed
	CgroupMemoryOOMKill
	CgroupPressureCPUSome
	CgroupPressureCPUFull
	CgroupPressureMemorySome
	CgroupPressureMemoryFull
	CgroupPressureIOSome
	CgroupPressureIOFull

	SystemCPUUser // without nice and guest
	SystemCPUNice
	SystemCPUSystem
	SystemCPUIdle
	SystemCPUIOWait
	SystemCPUInterrupt // hard and soft interrupts
	SystemCPUSteal
	SystemCPULogical
	SystemLoad1
	SystemLoad5
	SystemLoad15
	SystemMemoryTotal
	SystemMemoryUsed
	SystemMemoryFree
	SystemMemoryCached
	SystemMemoryBuffers
	SystemMemoryAvailable // available without swapping
	SystemSwapUsed
	SystemSwapFree
	SystemDiskReadBytes
	SystemDiskWriteBytes
	SystemDiskReads
	SystemDiskWrites
	SystemNetworkReceiveBytes
	SystemNetworkTransmitBytes
	SystemNetworkReceiveErrors
	SystemNetworkTransmitErrors
	SystemNetworkReceiveDropped
	SystemNetworkTransmitDropped
	SystemPressureCPUSome
	SystemPressureMemorySome
	SystemPressureMemoryFull
	SystemPressureIOSome
	SystemPressureIOFull

	Count int = iota // number of fields
)
