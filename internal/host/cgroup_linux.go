// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// cgroup reads the control groups of the process. A process is limited by its own group and
// by every group above it: the lowest limit of all visible groups is reported.
type cgroup struct {
	files  *files
	root   string
	self   *directory
	lookup everySixth
	found  string // contents of the files of the last look-up

	cpu, memory hierarchy
	unified     hierarchy // v2; pressure exists there without any controller

	quota float64 // CPUs, in the current pass
}

// hierarchy has the group of the process and all visible groups above it.
type hierarchy struct {
	v2     bool
	groups []*directory // lowest first; empty if not visible
}

// maxMountinfo limits the bytes read of mountinfo. On nodes with many containers it has about
// 100 KB.
const maxMountinfo = 1 << 20

func newCgroup(root string, f *files) *cgroup {
	return &cgroup{files: f, root: root, self: newDirectory(f, root, "proc", "self"), quota: math.NaN()}
}

// forget closes the files of all groups.
func (c *cgroup) forget() {
	for _, h := range []*hierarchy{&c.cpu, &c.memory, &c.unified} {
		for _, g := range h.groups {
			g.close()
		}
		*h = hierarchy{}
	}
	c.found = ""
}

func (c *cgroup) close() {
	c.forget()
}

// resolve finds the groups. It repeats that every few passes, because service managers and
// container runtimes may move the process or mount cgroup file systems.
func (c *cgroup) resolve(context.Context, *Sample) error {
	if !c.lookup.due() {
		return nil
	}
	groups, info, err := c.look()
	if looked := groups + info; err != nil || looked != c.found {
		c.forget()
		c.found = looked
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

// look reads the group memberships and the mounts.
func (c *cgroup) look() (groups, mounts string, err error) {
	defer c.self.close() // read once a minute
	text, err := c.self.read("cgroup")
	if err != nil {
		return "", "", err
	}
	mounts, err = readLong(filepath.Join(c.self.path, "mountinfo"))
	return string(text), mounts, err
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
		h.groups = append(h.groups, newDirectory(c.files, c.root, dir))
	}
	return h
}

// throttling has the enforcement periods of a group and how often and long it was throttled.
type throttling struct {
	periods, throttled float64
	time               float64 // seconds
}

// readCPU sets the lowest quota and the throttling of the group with that quota; without any
// quota, the throttling of the lowest group.
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
	put(s, hostfield.CgroupCPUQuota, limit)
	put(s, hostfield.CgroupCPUPeriods, t.periods)
	put(s, hostfield.CgroupCPUThrottled, t.throttled)
	put(s, hostfield.CgroupCPUThrottledTime, t.time)
	return c.files.takeErr()
}

// groupMemory has memory values in bytes and events.
type groupMemory struct {
	limit, high  float64 // the lowest of all groups
	usage        float64 // this and the following are of the group with the lowest limit
	inactiveFile float64
	oom, oomKill float64
}

// readMemory sets the lowest limits and the usage of the group with the lowest one; without
// any limit, the usage of the lowest group.
func (c *cgroup) readMemory(_ context.Context, s *Sample) error {
	if len(c.memory.groups) == 0 {
		return nil
	}
	read := memoryV1
	if c.memory.v2 {
		read = memoryV2
	}
	m := read(c.memory.groups)
	put(s, hostfield.CgroupMemoryMax, m.limit)
	put(s, hostfield.CgroupMemoryHigh, m.high)
	put(s, hostfield.CgroupMemoryUsage, m.usage)
	put(s, hostfield.CgroupMemoryOOM, m.oom)
	put(s, hostfield.CgroupMemoryOOMKill, m.oomKill)
	if !math.IsNaN(m.usage) && !math.IsNaN(m.inactiveFile) {
		// Both are read at different times, and the kernel's statistics lag.
		put(s, hostfield.CgroupMemoryWorkingSet, max(0, m.usage-m.inactiveFile))
	}
	return c.files.takeErr()
}

// readPressure sets the pressure of the lowest group. Only v2 has it.
func (c *cgroup) readPressure(_ context.Context, s *Sample) error {
	if len(c.unified.groups) == 0 {
		return nil
	}
	own := c.unified.groups[0]
	for _, row := range [...]struct {
		file       string
		some, full hostfield.Field
	}{
		{"cpu.pressure", hostfield.CgroupPressureCPUSome, hostfield.CgroupPressureCPUFull},
		{"memory.pressure", hostfield.CgroupPressureMemorySome, hostfield.CgroupPressureMemoryFull},
		{"io.pressure", hostfield.CgroupPressureIOSome, hostfield.CgroupPressureIOFull},
	} {
		st := own.pressure(row.file)
		put(s, row.some, st.some)
		put(s, row.full, st.full)
	}
	return c.files.takeErr()
}

// tightest returns the lowest limit and the lowest group with it. Without any limit it returns
// the first group.
func tightest(groups []*directory, limit func(*directory) float64) (least float64, group *directory) {
	least, group = math.NaN(), groups[0]
	for _, g := range groups {
		if v := limit(g); v < least || math.IsNaN(least) && !math.IsNaN(v) {
			least, group = v, g
		}
	}
	return least, group
}

// readLong reads up to maxMountinfo bytes of a file that is too long for [file].
func readLong(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxMountinfo))
	return string(wholeLines(b)), errors.Join(err, f.Close())
}
