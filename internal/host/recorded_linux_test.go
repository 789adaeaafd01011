// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/hostfield"
)

type values map[hostfield.Field]float64

// Each tree has only the files of its case. The expected values were computed by hand; all
// other values are absent.
func TestRecordedTrees(t *testing.T) {
	for tree, want := range recordedValues() {
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

func recordedValues() map[string]values {
	all := cgroup2Values()
	maps.Copy(all, map[string]values{
		"v2-systemd": systemdValues(),
		"v1-docker": {
			hostfield.CPUUsable:              0.5,
			hostfield.CgroupCPUQuota:         0.5,
			hostfield.CgroupCPUPeriods:       800,
			hostfield.CgroupCPUThrottled:     40,
			hostfield.CgroupCPUThrottledTime: 3.5,
			hostfield.CgroupMemoryMax:        256 << 20,
			hostfield.CgroupMemoryUsage:      200e6,
			hostfield.CgroupMemoryWorkingSet: 140e6,
			hostfield.CgroupMemoryOOMKill:    3, // no OOM: failcnt is something else
		},
		"v1-unlimited": {
			hostfield.CgroupCPUPeriods:       0,
			hostfield.CgroupCPUThrottled:     0,
			hostfield.CgroupCPUThrottledTime: 0,
			hostfield.CgroupMemoryUsage:      3e6, // the own group's, though the one above has 5e9
			hostfield.CgroupMemoryWorkingSet: 0,   // 3e6 less 4e6
		},
		"v1-hidden-limit": {
			hostfield.CPUUsable:              5,
			hostfield.CgroupCPUQuota:         5, // of the group above: 250 ms in 50 ms
			hostfield.CgroupCPUPeriods:       10,
			hostfield.CgroupCPUThrottled:     4,
			hostfield.CgroupCPUThrottledTime: 0.5,
			hostfield.CgroupMemoryMax:        512 << 20, // below the visible 1e9, from memory.stat
			hostfield.CgroupMemoryUsage:      80e6,
			hostfield.CgroupMemoryWorkingSet: 50e6,
			hostfield.CgroupMemoryOOMKill:    0,
		},
	})
	return all
}

// cgroup2Values has the trees with version 2 of control groups, and those without any.
func cgroup2Values() map[string]values {
	return map[string]values{
		"hybrid": {
			hostfield.CPUUsable:                2,
			hostfield.CgroupCPUQuota:           2, // the slice's; the service has 3
			hostfield.CgroupCPUPeriods:         70,
			hostfield.CgroupCPUThrottled:       30,
			hostfield.CgroupCPUThrottledTime:   0.25,
			hostfield.CgroupMemoryMax:          2 << 30,
			hostfield.CgroupMemoryUsage:        1200e6, // the slice's, which has the limit
			hostfield.CgroupMemoryWorkingSet:   1000e6,
			hostfield.CgroupMemoryOOMKill:      9,
			hostfield.CgroupPressureCPUSome:    56.995438,
			hostfield.CgroupPressureMemorySome: 11,
			hostfield.CgroupPressureMemoryFull: 10,
			hostfield.CgroupPressureIOSome:     13,
			hostfield.CgroupPressureIOFull:     12,
		},
		"k8s-namespace": {
			hostfield.CPUUsable:              2,
			hostfield.CgroupCPUQuota:         2,
			hostfield.CgroupCPUPeriods:       11,
			hostfield.CgroupCPUThrottled:     5,
			hostfield.CgroupCPUThrottledTime: 0.75,
			hostfield.CgroupMemoryMax:        512 << 20,
			hostfield.CgroupMemoryUsage:      100e6,
			hostfield.CgroupMemoryWorkingSet: 0, // inactive_file may exceed usage
			hostfield.CgroupMemoryOOM:        0,
			hostfield.CgroupMemoryOOMKill:    0,
			hostfield.CgroupPressureCPUSome:  0.001,
			hostfield.CgroupPressureCPUFull:  0.0009,
		},
		"k8s-host": {
			hostfield.CPUUsable:              3.5, // five in the mask
			hostfield.CgroupCPUQuota:         3.5, // of the pod, whose period and throttling count
			hostfield.CgroupCPUPeriods:       21,
			hostfield.CgroupCPUThrottled:     20,
			hostfield.CgroupCPUThrottledTime: 0.000019,
			hostfield.CgroupMemoryMax:        1000e6, // of the pod; 16e9 above it
			hostfield.CgroupMemoryHigh:       700e6,  // of the container
			hostfield.CgroupMemoryUsage:      900e6,
			hostfield.CgroupMemoryWorkingSet: 500e6,
			hostfield.CgroupMemoryOOM:        4,
			hostfield.CgroupMemoryOOMKill:    2,
		},
		"outside": {},
		"beside":  {hostfield.CPUUsable: 1.2, hostfield.CgroupCPUQuota: 1.2},
		"nothing": {},
		"garbage": {},
	}
}

func systemdValues() values {
	all := machineValues()
	maps.Copy(all, values{
		hostfield.ProcessMemoryRSS:     25000 * float64(os.Getpagesize()),
		hostfield.ProcessMemoryVirtual: 1234567168,
		hostfield.ProcessThreads:       17,
		hostfield.ProcessFDs:           5,
		hostfield.ProcessFDLimit:       1024,
		hostfield.ProcessDiskRead:      4096000,
		hostfield.ProcessDiskWrite:     819200,
		hostfield.ProcessRunQueueWait:  1.75,

		hostfield.CPUUsable: 1.5, // four in the mask

		hostfield.CgroupCPUQuota:           1.5, // of the slice; the service has 4
		hostfield.CgroupCPUPeriods:         5000,
		hostfield.CgroupCPUThrottled:       250,
		hostfield.CgroupCPUThrottledTime:   12.5,
		hostfield.CgroupMemoryUsage:        600e6, // of the service, which has the only memory.max
		hostfield.CgroupMemoryWorkingSet:   450e6,
		hostfield.CgroupMemoryMax:          1 << 30,
		hostfield.CgroupMemoryHigh:         768 << 20, // of the slice
		hostfield.CgroupMemoryOOM:          2,
		hostfield.CgroupMemoryOOMKill:      1,
		hostfield.CgroupPressureCPUSome:    30,
		hostfield.CgroupPressureCPUFull:    20,
		hostfield.CgroupPressureMemorySome: 0.4,
		hostfield.CgroupPressureMemoryFull: 0.3,
		hostfield.CgroupPressureIOSome:     0.06,
		hostfield.CgroupPressureIOFull:     0.05,
	})
	return all
}

// machineValues has the values of the machine in the tree v2-systemd.
func machineValues() values {
	return values{
		hostfield.SystemCPUUser:                90,  // 10000 ticks less 1000 of guests
		hostfield.SystemCPUNice:                1.5, // 200 less 50
		hostfield.SystemCPUSystem:              30,
		hostfield.SystemCPUIdle:                800,
		hostfield.SystemCPUIOWait:              5,
		hostfield.SystemCPUInterrupt:           1, // 60 hard and 40 soft
		hostfield.SystemCPUSteal:               0.07,
		hostfield.SystemCPULogical:             4,
		hostfield.SystemLoad1:                  0.5,
		hostfield.SystemLoad5:                  1.25,
		hostfield.SystemLoad15:                 2.75,
		hostfield.SystemMemoryTotal:            8000000 << 10,
		hostfield.SystemMemoryUsed:             3400000 << 10,
		hostfield.SystemMemoryFree:             1000000 << 10,
		hostfield.SystemMemoryCached:           3400000 << 10, // reclaimable slab included
		hostfield.SystemMemoryBuffers:          200000 << 10,
		hostfield.SystemMemoryAvailable:        5000000 << 10,
		hostfield.SystemSwapUsed:               500000 << 10,
		hostfield.SystemSwapFree:               1500000 << 10,
		hostfield.SystemDiskReadBytes:          80000 * 512, // sda and nvme0n1, not what lies on them
		hostfield.SystemDiskWriteBytes:         24000 * 512,
		hostfield.SystemDiskReads:              4000,
		hostfield.SystemDiskWrites:             1200,
		hostfield.SystemNetworkReceiveBytes:    1002000, // eth0 and eth1
		hostfield.SystemNetworkTransmitBytes:   503000,
		hostfield.SystemNetworkReceiveErrors:   3,
		hostfield.SystemNetworkTransmitErrors:  6,
		hostfield.SystemNetworkReceiveDropped:  5,
		hostfield.SystemNetworkTransmitDropped: 2,
		hostfield.SystemPressureCPUSome:        2.5,
		hostfield.SystemPressureMemorySome:     1,
		hostfield.SystemPressureMemoryFull:     0.5,
		hostfield.SystemPressureIOSome:         8,
		hostfield.SystemPressureIOFull:         7,
	}
}

func newReader(tb testing.TB, root string) *host.Reader {
	tb.Helper()
	r := host.NewReader(host.Config{Root: root, Logger: slog.New(slog.DiscardHandler)})
	return r
}

// check compares every value and checks that the others are absent.
func check(t *testing.T, s *host.Sample, want values) {
	t.Helper()
	for i := range hostfield.Count {
		f := hostfield.Field(i)
		got, ok := s.Get(f)
		expected, listed := want[f]
		switch {
		case ok && !listed && !isLoad(f):
			t.Errorf("field %d is %v, want it absent", f, got)
		case !ok && listed:
			t.Errorf("field %d is absent, want %v", f, expected)
		case ok && listed && math.Abs(got-expected) > 1e-9*max(1, expected):
			t.Errorf("field %d is %v, want %v", f, got, expected)
		}
	}
}

// isLoad reports whether f is a load average, for which gopsutil asks the kernel if the tree has none.
func isLoad(f hostfield.Field) bool {
	return f >= hostfield.SystemLoad1 && f <= hostfield.SystemLoad15
}

// fromKernel has the fields that come from getrusage, and not from a tree.
var fromKernel = []hostfield.Field{
	hostfield.ProcessCPUUser, hostfield.ProcessCPUSystem, hostfield.ProcessFaultsMinor, hostfield.ProcessFaultsMajor,
	hostfield.ProcessContextSwitchesVoluntary, hostfield.ProcessContextSwitchesInvoluntary,
}

func TestFullTreeHasEveryField(t *testing.T) {
	s := newReader(t, "testdata/v2-systemd").Read(t.Context())
	for i := range hostfield.Count {
		f := hostfield.Field(i)
		if _, ok := s.Get(f); !ok && !slices.Contains(fromKernel, f) {
			t.Errorf("field %d has no value in the full tree", i)
		}
	}
}
