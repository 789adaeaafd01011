// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
)

// cgroup reads the control groups that the process is in. A process is limited
// by its own group and by every group above it, so limits are looked for in all
// that are visible, and the tightest counts.
type cgroup struct {
	files  *files
	root   string
	self   *directory
	lookup rarely
	looked string // at which groups and mounts

	cpu, memory hierarchy
	unified     hierarchy // v2, whichever controllers it has: pressure is there without any

	quota float64 // CPUs, of the current pass
}

// hierarchy is the way from the process's group up to the highest visible one.
type hierarchy struct {
	v2     bool
	groups []*directory // the own one first; empty: not visible
}

// maxMountinfo bounds what is read of mountinfo; nodes full of containers have
// some 100 KB.
const maxMountinfo = 1 << 20

func newCgroup(root string, f *files) *cgroup {
	return &cgroup{files: f, root: root, self: newDirectory(f, root, "proc", "self"), quota: math.NaN()}
}

// forget closes what is kept of the groups.
func (c *cgroup) forget() {
	for _, h := range []*hierarchy{&c.cpu, &c.memory, &c.unified} {
		for _, g := range h.groups {
			g.close()
		}
		*h = hierarchy{}
	}
	c.looked = ""
}

func (c *cgroup) close() {
	c.forget()
}

// resolve finds the groups. It does so again every few passes, because service
// managers and container runtimes move processes and mount cgroup file systems
// while they run; not on every pass, because mountinfo can be long.
func (c *cgroup) resolve(context.Context, *Sample) error {
	if !c.lookup.due() {
		return nil
	}
	groups, info, err := c.look()
	if looked := groups + info; err != nil || looked != c.looked {
		c.forget()
		c.looked = looked
	}
	if err != nil || len(c.cpu.groups)+len(c.memory.groups)+len(c.unified.groups) > 0 {
		return err
	}
	paths, mounts := parseGroups(groups), parseMounts(info)
	c.cpu = c.find(paths, mounts, "cpu")
	c.memory = c.find(paths, mounts, "memory")
	c.unified = c.find(paths, mounts, unified)
	return nil
}

// look reads which groups the process is in and what is mounted.
func (c *cgroup) look() (groups, mounts string, err error) {
	defer c.self.close() // it is read seldom
	text, err := c.self.read("cgroup")
	if err != nil {
		return "", "", err
	}
	mounts, err = readLong(filepath.Join(c.self.path, "mountinfo"))
	return string(text), mounts, err
}

// find locates the hierarchy of a controller: in v1 if the process has a v1 group
// for it, for the kernel gives a controller to one hierarchy only.
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
		h.groups = append(h.groups, newDirectory(c.files, c.root, dir))
	}
	return h
}

// throttling is how often and how long the tasks of a group had used up their quota.
type throttling struct {
	periods, throttled float64
	time               float64 // seconds
}

// readCPU reports the smallest quota and the throttling of the group that has
// it; without any quota, the throttling of the own group.
func (c *cgroup) readCPU(_ context.Context, s *Sample) error {
	c.quota = math.NaN()
	if len(c.cpu.groups) == 0 {
		return nil
	}
	quota, throttle := quotaV1, throttlingV1
	if c.cpu.v2 {
		quota, throttle = quotaV2, throttlingV2
	}
	limit, group := tightest(c.cpu.groups, quota)
	t := throttle(group)
	c.quota = limit
	put(s, CgroupCPUQuota, limit)
	put(s, CgroupCPUPeriods, t.periods)
	put(s, CgroupCPUThrottled, t.throttled)
	put(s, CgroupCPUThrottledTime, t.time)
	return c.files.takeErr()
}

// groupMemory is what a group says about memory, in bytes and events.
type groupMemory struct {
	limit, high  float64 // the smallest of all groups
	usage        float64 // this and the rest of the group whose limit is the smallest
	inactiveFile float64
	oom, oomKill float64
}

// readMemory reports the smallest limits and the usage of the group that has
// the smallest; without any limit, the usage of the own group.
func (c *cgroup) readMemory(_ context.Context, s *Sample) error {
	if len(c.memory.groups) == 0 {
		return nil
	}
	read := memoryV1
	if c.memory.v2 {
		read = memoryV2
	}
	m := read(c.memory.groups)
	put(s, CgroupMemoryMax, m.limit)
	put(s, CgroupMemoryHigh, m.high)
	put(s, CgroupMemoryUsage, m.usage)
	put(s, CgroupMemoryOOM, m.oom)
	put(s, CgroupMemoryOOMKill, m.oomKill)
	if !math.IsNaN(m.usage) && !math.IsNaN(m.inactiveFile) {
		// The two are read one after the other, and the kernel's statistics lag.
		put(s, CgroupMemoryWorkingSet, max(0, m.usage-m.inactiveFile))
	}
	return c.files.takeErr()
}

// readPressure reports the pressure in the own group, which exists in v2 only
// but there without any controller: mixed systems have it.
func (c *cgroup) readPressure(_ context.Context, s *Sample) error {
	if len(c.unified.groups) == 0 {
		return nil
	}
	own := c.unified.groups[0]
	for _, row := range [...]struct {
		file       string
		some, full Field
	}{
		{"cpu.pressure", CgroupPressureCPUSome, CgroupPressureCPUFull},
		{"memory.pressure", CgroupPressureMemorySome, CgroupPressureMemoryFull},
		{"io.pressure", CgroupPressureIOSome, CgroupPressureIOFull},
	} {
		st := own.pressure(row.file)
		put(s, row.some, st.some)
		put(s, row.full, st.full)
	}
	return c.files.takeErr()
}

// tightest returns the smallest limit and the group that has it, the lowest one if
// several have the same. Without any limit that is the own group.
func tightest(groups []*directory, limit func(*directory) float64) (least float64, group *directory) {
	least, group = math.NaN(), groups[0]
	for _, g := range groups {
		if v := limit(g); v < least || math.IsNaN(least) && !math.IsNaN(v) {
			least, group = v, g
		}
	}
	return least, group
}

// readLong reads a file too long for [file], up to maxMountinfo.
func readLong(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxMountinfo))
	return string(wholeLines(b)), errors.Join(err, f.Close())
}
