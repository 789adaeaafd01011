// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package host

import (
	"context"
	"runtime"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/mem"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// avoid reports whether gopsutil has an unacceptable side effect for a source: it starts netstat
// or vm_stat on macOS, and a goroutine that never ends on Windows, which has no load average.
func avoid(name string) bool {
	switch name {
	case "system.network":
		return runtime.GOOS == "darwin"
	case "system.memory":
		return startsPrograms
	case "system.load":
		return runtime.GOOS == "windows"
	default:
		return false
	}
}

func (m *system) unread(string) error { return errMalformed }

func countCPUs(ctx context.Context) (int, error) { return cpu.CountsWithContext(ctx, true) }

func memoryWhole(*mem.VirtualMemoryStat) bool { return true }

// putKnown sets a value that not every system has. gopsutil returns zero for a missing one.
func putKnown(s *Sample, f hostfield.Field, v float64) {
	if v > 0 {
		put(s, f, v)
	}
}

func swap(ctx context.Context, _ *mem.VirtualMemoryStat) (used, free float64, err error) {
	v, err := mem.SwapMemoryWithContext(ctx)
	if err != nil {
		return 0, 0, err
	}
	return float64(v.Used), float64(v.Free), nil
}

// disksListed is false: gopsutil reports whole disks on macOS and FreeBSD, and drive letters on
// Windows.
const disksListed = false

func wholeDisks(string) []string { return nil }
