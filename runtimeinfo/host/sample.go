// SPDX-License-Identifier: Apache-2.0

package host

import "math"

// Field names one value of a [Sample]. The unit is in its comment; all counters
// are cumulative.
type Field uint8

// The fields. Own process first, then the control group, then the machine.
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

	CPUUsable // CPUs this process may use: the least of affinity mask and control-group quota; a fraction is possible

	CgroupCPUQuota           // CPUs; absent when unlimited
	CgroupCPUPeriods         // counter of enforcement periods
	CgroupCPUThrottled       // counter of throttled periods
	CgroupCPUThrottledTime   // seconds, counter
	CgroupMemoryUsage        // bytes, page cache included
	CgroupMemoryWorkingSet   // bytes, usage less inactive page cache: what the OOM killer cannot reclaim at once
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
	SystemMemoryAvailable        // bytes that can be had without swapping
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

	NumFields int = iota // how many fields there are
)

// Sample is the result of one pass. What the platform lacks is absent. It is
// immutable once [Reader.Read] has returned it.
type Sample struct {
	values [NumFields]float64 // NaN: absent
}

// NewSample returns a sample in which every field is absent.
func NewSample() *Sample {
	s := new(Sample)
	for i := range s.values {
		s.values[i] = math.NaN()
	}
	return s
}

// Get returns the value of f and whether it is present. A nil Sample has none.
func (s *Sample) Get(f Field) (v float64, ok bool) {
	if s == nil {
		return 0, false
	}
	v = s.values[f]
	return v, !math.IsNaN(v)
}

// Set gives f a value. It is meant for [Reader] and for tests of what reads samples.
func (s *Sample) Set(f Field, v float64) { s.values[f] = v }
