// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/gmpulse/gmpulse/runtimeinfo/host"
)

type values map[host.Field]float64

// Every tree under testdata holds only what its case needs; the expectations
// were worked out by hand from the files. Fields that are not listed must be absent.
func TestRecordedTrees(t *testing.T) {
	for tree, want := range map[string]values{
		"v2-systemd": systemdValues(),
		"v1-docker": {
			host.CPUUsable:              0.5,
			host.CgroupCPUQuota:         0.5,
			host.CgroupCPUPeriods:       800,
			host.CgroupCPUThrottled:     40,
			host.CgroupCPUThrottledTime: 3.5,
			host.CgroupMemoryMax:        256 << 20,
			host.CgroupMemoryUsage:      200e6,
			host.CgroupMemoryWorkingSet: 140e6,
			host.CgroupMemoryOOMKill:    3, // no OOM: failcnt is something else
		},
		"v1-unlimited": {
			host.CgroupCPUPeriods:       0,
			host.CgroupCPUThrottled:     0,
			host.CgroupCPUThrottledTime: 0,
			host.CgroupMemoryUsage:      3e6, // the own group's, though the one above has 5e9
			host.CgroupMemoryWorkingSet: 0,   // 3e6 less 4e6
		},
		"v1-hidden-limit": {
			host.CPUUsable:              5,
			host.CgroupCPUQuota:         5, // of the group above: 250 ms in 50 ms
			host.CgroupCPUPeriods:       10,
			host.CgroupCPUThrottled:     4,
			host.CgroupCPUThrottledTime: 0.5,
			host.CgroupMemoryMax:        512 << 20, // below the visible 1e9, from memory.stat
			host.CgroupMemoryUsage:      80e6,
			host.CgroupMemoryWorkingSet: 50e6,
			host.CgroupMemoryOOMKill:    0,
		},
		"hybrid": {
			host.CPUUsable:                2,
			host.CgroupCPUQuota:           2, // the slice's; the service has 3
			host.CgroupCPUPeriods:         70,
			host.CgroupCPUThrottled:       30,
			host.CgroupCPUThrottledTime:   0.25,
			host.CgroupMemoryMax:          2 << 30,
			host.CgroupMemoryUsage:        1200e6, // the slice's, for it has the limit
			host.CgroupMemoryWorkingSet:   1000e6,
			host.CgroupMemoryOOMKill:      9,
			host.CgroupPressureCPUSome:    56.995438,
			host.CgroupPressureMemorySome: 11,
			host.CgroupPressureMemoryFull: 10,
			host.CgroupPressureIOSome:     13,
			host.CgroupPressureIOFull:     12,
		},
		"k8s-namespace": {
			host.CPUUsable:              2,
			host.CgroupCPUQuota:         2,
			host.CgroupCPUPeriods:       11,
			host.CgroupCPUThrottled:     5,
			host.CgroupCPUThrottledTime: 0.75,
			host.CgroupMemoryMax:        512 << 20,
			host.CgroupMemoryUsage:      100e6,
			host.CgroupMemoryWorkingSet: 0, // inactive_file may exceed usage
			host.CgroupMemoryOOM:        0,
			host.CgroupMemoryOOMKill:    0,
			host.CgroupPressureCPUSome:  0.001,
			host.CgroupPressureCPUFull:  0.0009,
		},
		"k8s-host": {
			host.ProcessContextSwitchesVoluntary:   1,
			host.ProcessContextSwitchesInvoluntary: 2,

			host.CPUUsable:              3.5, // five in the mask
			host.CgroupCPUQuota:         3.5, // of the pod, whose period and throttling count
			host.CgroupCPUPeriods:       21,
			host.CgroupCPUThrottled:     20,
			host.CgroupCPUThrottledTime: 0.000019,
			host.CgroupMemoryMax:        1000e6, // of the pod; 16e9 above it
			host.CgroupMemoryHigh:       700e6,  // of the container
			host.CgroupMemoryUsage:      900e6,
			host.CgroupMemoryWorkingSet: 500e6,
			host.CgroupMemoryOOM:        4,
			host.CgroupMemoryOOMKill:    2,
		},
		"outside": {},
		"beside":  {host.CPUUsable: 1.2, host.CgroupCPUQuota: 1.2},
		"nothing": {},
		"garbage": {},
	} {
		t.Run(tree, func(t *testing.T) {
			r := newReader(t, filepath.Join("testdata", tree))
			check(t, r.Read(t.Context()), want)
			wantFailures := uint64(0)
			if tree == "garbage" {
				// stat, status, limits, cgroup.{cpu,memory,pressure}, system.pressure
				// and gopsutil's cpu, logical, load, memory, disk, network; in io,
				// schedstat and paths the good lines are missed, not the bad ones.
				wantFailures = 13
			}
			if got := r.Failures(); got != wantFailures {
				t.Errorf("%d failures, want %d", got, wantFailures)
			}
		})
	}
}

func systemdValues() values {
	return values{
		host.ProcessCPUUser:                    123.45,
		host.ProcessCPUSystem:                  6.78,
		host.ProcessMemoryRSS:                  25000 * float64(os.Getpagesize()),
		host.ProcessMemoryVirtual:              1234567168,
		host.ProcessThreads:                    17,
		host.ProcessFDs:                        5,
		host.ProcessFDLimit:                    1024,
		host.ProcessContextSwitchesVoluntary:   900,
		host.ProcessContextSwitchesInvoluntary: 70,
		host.ProcessFaultsMinor:                4321,
		host.ProcessFaultsMajor:                12,
		host.ProcessDiskRead:                   4096000,
		host.ProcessDiskWrite:                  819200,
		host.ProcessRunQueueWait:               1.75,

		host.CPUUsable: 1.5, // four in the mask

		host.CgroupCPUQuota:           1.5, // of the slice; the service has 4
		host.CgroupCPUPeriods:         5000,
		host.CgroupCPUThrottled:       250,
		host.CgroupCPUThrottledTime:   12.5,
		host.CgroupMemoryUsage:        600e6, // of the service, which has the only memory.max
		host.CgroupMemoryWorkingSet:   450e6,
		host.CgroupMemoryMax:          1 << 30,
		host.CgroupMemoryHigh:         768 << 20, // of the slice
		host.CgroupMemoryOOM:          2,
		host.CgroupMemoryOOMKill:      1,
		host.CgroupPressureCPUSome:    30,
		host.CgroupPressureCPUFull:    20,
		host.CgroupPressureMemorySome: 0.4,
		host.CgroupPressureMemoryFull: 0.3,
		host.CgroupPressureIOSome:     0.06,
		host.CgroupPressureIOFull:     0.05,

		host.SystemCPUUser:                90,  // 10000 ticks less 1000 of guests
		host.SystemCPUNice:                1.5, // 200 less 50
		host.SystemCPUSystem:              30,
		host.SystemCPUIdle:                800,
		host.SystemCPUIOWait:              5,
		host.SystemCPUInterrupt:           1, // 60 hard and 40 soft
		host.SystemCPUSteal:               0.07,
		host.SystemCPULogical:             4,
		host.SystemLoad1:                  0.5,
		host.SystemLoad5:                  1.25,
		host.SystemLoad15:                 2.75,
		host.SystemMemoryTotal:            8000000 << 10,
		host.SystemMemoryUsed:             3400000 << 10,
		host.SystemMemoryFree:             1000000 << 10,
		host.SystemMemoryCached:           3400000 << 10, // reclaimable slab included
		host.SystemMemoryBuffers:          200000 << 10,
		host.SystemMemoryAvailable:        5000000 << 10,
		host.SystemSwapUsed:               500000 << 10,
		host.SystemSwapFree:               1500000 << 10,
		host.SystemDiskReadBytes:          80000 * 512, // sda and nvme0n1, not what lies on them
		host.SystemDiskWriteBytes:         24000 * 512,
		host.SystemDiskReads:              4000,
		host.SystemDiskWrites:             1200,
		host.SystemNetworkReceiveBytes:    1002000, // eth0 and eth1
		host.SystemNetworkTransmitBytes:   503000,
		host.SystemNetworkReceiveErrors:   3,
		host.SystemNetworkTransmitErrors:  6,
		host.SystemNetworkReceiveDropped:  5,
		host.SystemNetworkTransmitDropped: 2,
		host.SystemPressureCPUSome:        2.5,
		host.SystemPressureMemorySome:     1,
		host.SystemPressureMemoryFull:     0.5,
		host.SystemPressureIOSome:         8,
		host.SystemPressureIOFull:         7,
	}
}

func newReader(tb testing.TB, root string) *host.Reader {
	tb.Helper()
	r := host.NewReader(host.Config{Root: root, Logger: slog.New(slog.DiscardHandler)})
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error("close:", err)
		}
	})
	return r
}

// check compares every field, also those that must be absent.
func check(t *testing.T, s *host.Sample, want values) {
	t.Helper()
	for i := range host.NumFields {
		f := host.Field(i)
		got, ok := s.Get(f)
		expected, listed := want[f]
		switch {
		case ok && !listed:
			t.Errorf("field %d is %v, want it absent", f, got)
		case !ok && listed:
			t.Errorf("field %d is absent, want %v", f, expected)
		case ok && math.Abs(got-expected) > 1e-9*max(1, expected):
			t.Errorf("field %d is %v, want %v", f, got, expected)
		}
	}
}

// A field that no tree gives a value to would be one that this package forgot.
func TestTreesCoverEveryField(t *testing.T) {
	s := newReader(t, "testdata/v2-systemd").Read(t.Context())
	for i := range host.NumFields {
		if _, ok := s.Get(host.Field(i)); !ok {
			t.Errorf("field %d has no value in the full tree", i)
		}
	}
}
