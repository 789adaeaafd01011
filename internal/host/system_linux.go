// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"os"
	"path/filepath"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/mem"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// avoid reports whether gopsutil has an unacceptable side effect for a source: none on Linux.
func avoid(string) bool { return false }

// unread returns the reason why gopsutil found nothing in a file below proc: it does not exist or
// is malformed.
func (m *system) unread(name string) error {
	if _, err := os.Stat(filepath.Join(m.root, "proc", name)); err != nil {
		return err
	}
	return errMalformed
}

// countCPUs counts the cpuN lines of /proc/stat. gopsutil's CPU count reads /proc/cpuinfo, for
// which older x86 kernels interrupt every CPU to measure its frequency.
func countCPUs(ctx context.Context) (int, error) {
	each, err := cpu.TimesWithContext(ctx, true)
	return len(each), err
}

// memoryWhole reports whether gopsutil read meminfo to its end. It returns zero for missing
// lines. These follow all lines that are used here, and are not all zero on a running kernel.
func memoryWhole(v *mem.VirtualMemoryStat) bool {
	return v.Mapped+v.Slab+v.PageTables > 0
}

// putKnown sets a value that not every system has. Linux has all of them.
func putKnown(s *Sample, f hostfield.Field, v float64) { put(s, f, v) }

// swap uses the values of meminfo: gopsutil's swap call asks the running kernel even for a
// recorded tree, and also reads vmstat.
func swap(_ context.Context, v *mem.VirtualMemoryStat) (used, free float64, err error) {
	return float64(v.SwapTotal) - float64(v.SwapFree), float64(v.SwapFree), nil
}

// disksListed is true: wholeDisks returns the disks of this system.
const disksListed = true

// maxDisks limits the number of disks.
const maxDisks = 1024

// wholeDisks lists the block devices with a device link in /sys/block. Partitions are not listed
// there. Loop, ram, zram, device-mapper and md devices have no such link; their I/O is counted at
// the underlying disk.
func wholeDisks(root string) []string {
	block := filepath.Join(root, "sys", "block")
	names, _ := readNames(block, maxDisks) // none if there is an error
	var disks []string
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(block, name, "device")); err == nil {
			disks = append(disks, name)
		}
	}
	return disks
}
