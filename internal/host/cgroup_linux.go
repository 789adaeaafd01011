// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"math"
	"path/filepath"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// cgroup reads the control groups of the process. A process is limited by its own group and
// by every group above it: the lowest limit of all visible groups is reported.
type cgroup struct {
	root   string
	lookup everySixth

	cpu, memory hierarchy
	unified     hierarchy // v2; pressure exists there without any controller

	quota float64 // CPUs, in the current pass
}

// hierarchy has the group of the process and all visible groups above it.
type hierarchy struct {
	v2    bool
	paths []string // lowest group first; empty if none is visible
}

// groups returns the directories of the groups. Their failures are stored in err.
func (h *hierarchy) groups(err *error) []directory {
	var groups []directory
	for _, path := range h.paths {
		groups = append(groups, directory{path, err})
	}
	return groups
}

// resolve finds the groups. It repeats that every few passes, because service managers and
// container runtimes may move the process or mount cgroup file systems.
func (c *cgroup) resolve(context.Context, *Sample) error {
	if !c.lookup.due() {
		return nil
	}
	c.cpu, c.memory, c.unified = hierarchy{}, hierarchy{}, hierarchy{}
	groups, err := read(c.root, "proc/self/cgroup")
	if err != nil {
		return err
	}
	info, err := read(c.root, "proc/self/mountinfo")
	if err != nil {
		return err
	}
	paths, mounts := parseGroups(string(groups)), parseMounts(string(info))
	c.cpu = c.find(paths, mounts, "cpu")
	c.memory = c.find(paths, mounts, "memory")
	c.unified = c.find(paths, mounts, unified)
	return nil
}

// find locates the hierarchy of a controller: v1 if the process has a v1 group for it,
// because a controller belongs to one hierarchy only.
func (c *cgroup) find(paths map[string]string, mounts []mount, controller string) hierarchy {
	key := controller
	if _, ok := paths[key]; !ok {
		key = unified
	}
	path, ok := paths[key]
	if !ok {
		return hierarchy{}
	}
	h := hierarchy{v2: key == unified}
	for _, dir := range locate(mounts, key, path) {
		h.paths = append(h.paths, filepath.Join(c.root, dir))
	}
	return h
}

// readCPU sets the lowest quota and the throttling of the group with that quota; without any
// quota, the throttling of the lowest group.
func (c *cgroup) readCPU(_ context.Context, s *Sample) (err error) {
	c.quota = math.NaN()
	if len(c.cpu.paths) == 0 {
		return nil
	}
	quota := quotaV1
	if c.cpu.v2 {
		quota = quotaV2
	}
	var group directory
	c.quota, group = tightest(c.cpu.groups(&err), quota)
	put(s, hostfield.CgroupCPUQuota, c.quota)
	stat := group.text("cpu.stat") // v2 without the CPU controller: only usage
	put(s, hostfield.CgroupCPUPeriods, keyed(stat, "nr_periods"))
	put(s, hostfield.CgroupCPUThrottled, keyed(stat, "nr_throttled"))
	put(s, hostfield.CgroupCPUThrottledTime, keyed(stat, "throttled_time")/1e9) // v1
	put(s, hostfield.CgroupCPUThrottledTime, keyed(stat, "throttled_usec")/1e6) // v2
	return err
}

// readMemory sets the lowest limits and the usage of the group with the lowest one; without
// any limit, the usage of the lowest group.
func (c *cgroup) readMemory(_ context.Context, s *Sample) (err error) {
	if len(c.memory.paths) == 0 {
		return nil
	}
	readGroups := readMemoryV1
	if c.memory.v2 {
		readGroups = readMemoryV2
	}
	usage, inactiveFile := readGroups(s, c.memory.groups(&err))
	put(s, hostfield.CgroupMemoryUsage, usage)
	// Both are read at different times, and the kernel's statistics lag.
	put(s, hostfield.CgroupMemoryWorkingSet, max(0, usage-inactiveFile))
	return err
}

// readPressure sets the pressure of the lowest group. Only v2 has it.
func (c *cgroup) readPressure(_ context.Context, s *Sample) (err error) {
	if len(c.unified.paths) == 0 {
		return nil
	}
	own := directory{c.unified.paths[0], &err}
	own.putPressure(s, "cpu.pressure", hostfield.CgroupPressureCPUSome, hostfield.CgroupPressureCPUFull)
	own.putPressure(s, "memory.pressure", hostfield.CgroupPressureMemorySome, hostfield.CgroupPressureMemoryFull)
	own.putPressure(s, "io.pressure", hostfield.CgroupPressureIOSome, hostfield.CgroupPressureIOFull)
	return err
}

// tightest returns the lowest limit and the lowest group with it. Without any limit it returns
// the first group.
func tightest(groups []directory, limit func(directory) float64) (least float64, group directory) {
	least, group = math.NaN(), groups[0]
	for _, g := range groups {
		if v := limit(g); v < least || math.IsNaN(least) && !math.IsNaN(v) {
			least, group = v, g
		}
	}
	return least, group
}
