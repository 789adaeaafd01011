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
	lookup rarely

	cpu, memory hierarchy
	unified     hierarchy // v2, whichever controllers it has: pressure is there without any

	quota float64 // CPUs, of the current pass
}

// hierarchy is the way from the process's group up to the highest visible one.
type hierarchy struct {
	v2   bool
	dirs []string // the own group first; empty: not visible
}

// maxMountinfo bounds what is read of mountinfo; nodes full of containers have
// some 100 KB.
const maxMountinfo = 1 << 20

// resolve finds the groups. It does so again every few passes, because service
// managers and container runtimes move processes and mount cgroup file systems
// while they run; not on every pass, because mountinfo can be long.
func (c *cgroup) resolve(context.Context, *Sample) error {
	if !c.lookup.due() {
		return nil
	}
	c.cpu, c.memory, c.unified = hierarchy{}, hierarchy{}, hierarchy{}
	self := filepath.Join(c.root, "proc", "self")
	groups, err := c.files.read(filepath.Join(self, "cgroup"))
	if err != nil {
		return err
	}
	info, err := readLong(filepath.Join(self, "mountinfo"))
	if err != nil {
		return err
	}
	paths, mounts := parseGroups(groups), parseMounts(info)
	c.cpu = c.find(paths, mounts, "cpu")
	c.memory = c.find(paths, mounts, "memory")
	c.unified = c.find(paths, mounts, unified)
	return nil
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
	dirs := locate(mounts, key, path)
	for i := range dirs {
		dirs[i] = filepath.Join(c.root, dirs[i])
	}
	return hierarchy{v2: key == unified, dirs: dirs}
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
	if len(c.cpu.dirs) == 0 {
		return nil
	}
	quota, throttle := c.quotaV1, c.throttlingV1
	if c.cpu.v2 {
		quota, throttle = c.quotaV2, c.throttlingV2
	}
	limit, dir := tightest(c.cpu.dirs, quota)
	t := throttle(dir)
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
	if len(c.memory.dirs) == 0 {
		return nil
	}
	read := c.memoryV1
	if c.memory.v2 {
		read = c.memoryV2
	}
	m := read(c.memory.dirs)
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
	if len(c.unified.dirs) == 0 {
		return nil
	}
	own := c.unified.dirs[0]
	for _, row := range []struct {
		file       string
		some, full Field
	}{
		{"cpu.pressure", CgroupPressureCPUSome, CgroupPressureCPUFull},
		{"memory.pressure", CgroupPressureMemorySome, CgroupPressureMemoryFull},
		{"io.pressure", CgroupPressureIOSome, CgroupPressureIOFull},
	} {
		st := c.files.pressure(own, row.file)
		put(s, row.some, st.some)
		put(s, row.full, st.full)
	}
	return c.files.takeErr()
}

// tightest returns the smallest limit and the directory that has it, the lowest
// one if several have the same. Without any limit that is the own directory.
func tightest(dirs []string, limit func(dir string) float64) (least float64, dir string) {
	least, dir = math.NaN(), dirs[0]
	for _, d := range dirs {
		if v := limit(d); v < least || math.IsNaN(least) && !math.IsNaN(v) {
			least, dir = v, d
		}
	}
	return least, dir
}

// readLong reads a file too long for [files], up to maxMountinfo.
func readLong(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxMountinfo))
	return wholeLines(b), errors.Join(err, f.Close())
}
