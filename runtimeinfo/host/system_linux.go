// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/mem"
)

// avoid reports whether a source is better left alone: none on Linux.
func avoid(string) bool { return false }

// unread explains why gopsutil found nothing in a file below proc: because there
// is none, or because of what is in it. HOST_PROC moves gopsutil elsewhere, but
// then the file of the same name here tells the same.
func (m *system) unread(name string) error {
	if _, err := os.Stat(filepath.Join(m.root, "proc", name)); err != nil {
		return err
	}
	return errMalformed
}

// countCPUs counts the cpuN lines of /proc/stat. gopsutil's own CPU count reads
// /proc/cpuinfo first, for which older x86 kernels interrupt every CPU to measure
// its frequency.
func countCPUs(ctx context.Context) (int, error) {
	each, err := cpu.TimesWithContext(ctx, true)
	return len(each), err
}

// loadRecorded reports whether the tree below root holds the load averages.
func loadRecorded(root string) bool {
	text, err := os.ReadFile(filepath.Join(root, "proc", "loadavg"))
	if err != nil {
		return false
	}
	fields := strings.Fields(string(wholeLines(text)))
	if len(fields) < 3 {
		return false
	}
	for _, f := range fields[:3] {
		if _, err := strconv.ParseFloat(f, 64); err != nil {
			return false
		}
	}
	return true
}

// memoryWhole reports whether gopsutil saw the end of meminfo. It gives zero for
// every line that is missing; these stand behind all that is used here, and no
// running kernel has zero of each.
func memoryWhole(v *mem.VirtualMemoryStat) bool {
	return v.Mapped+v.Slab+v.PageTables > 0
}

// putKnown sets a field that not every system has: Linux has them all.
func putKnown(s *Sample, f Field, v float64) { put(s, f, v) }

// swap takes the values from meminfo, which was read anyhow: gopsutil's own swap
// call asks the running kernel even about a recorded tree and then reads vmstat.
func swap(_ context.Context, v *mem.VirtualMemoryStat) (used, free float64, err error) {
	return float64(v.SwapTotal) - float64(v.SwapFree), float64(v.SwapFree), nil
}

// disksListed says that wholeDisks knows the disks of this system.
const disksListed = true

// maxDisks bounds the list of disks. More than this are paths to a storage network.
const maxDisks = 1024

// wholeDisks lists the block devices that have hardware, or a driver that stands
// for it, behind them: those with a device link in /sys/block. Partitions are
// not listed there, and loop, ram, zram, device-mapper and md devices, whose I/O
// is counted again at the disk below, have no such link.
func wholeDisks(root string) []string {
	block := filepath.Join(root, "sys", "block")
	dir, err := os.Open(block)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(maxDisks)
	var disks []string
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(block, name, "device")); err == nil {
			disks = append(disks, name)
		}
	}
	return disks
}
