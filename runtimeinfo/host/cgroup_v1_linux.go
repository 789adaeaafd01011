package host

import (
	"math"
	"strings"
)

// quotaV1 returns the CPU quota of one group in CPUs; -1 microseconds is none.
func (c *cgroup) quotaV1(dir string) float64 {
	text := strings.TrimSpace(c.files.text(dir, "cpu.cfs_quota_us"))
	if text == "" || text == "-1" {
		return math.NaN()
	}
	quota, period := parseCount(text), c.files.number(dir, "cpu.cfs_period_us")
	if !(quota > 0) || !(period > 0) {
		c.files.malformed(dir, "cpu.cfs_quota_us")
		return math.NaN()
	}
	return quota / period
}

func (c *cgroup) throttlingV1(dir string) throttling {
	text := c.files.text(dir, "cpu.stat")
	return throttling{
		periods:   keyed(text, "nr_periods"),
		throttled: keyed(text, "nr_throttled"),
		time:      keyed(text, "throttled_time") / 1e9,
	}
}

// memoryV1 takes the limit from the own group's memory.stat: there the kernel
// says itself which limit holds, counting groups that are not visible here and
// leaving out those that do not pass theirs on (use_hierarchy). There is no count
// of times the limit was hit: memory.failcnt counts attempts that reclaim helped.
func (c *cgroup) memoryV1(dirs []string) groupMemory {
	limit, dir := tightest(dirs, func(dir string) float64 {
		return finiteV1(c.files.number(dir, "memory.limit_in_bytes"))
	})
	stat := c.files.text(dirs[0], "memory.stat")
	if v := keyed(stat, "hierarchical_memory_limit"); !math.IsNaN(v) && finiteV1(v) != limit {
		limit, dir = finiteV1(v), dirs[0]
	}
	if dir != dirs[0] {
		stat = c.files.text(dir, "memory.stat")
	}
	return groupMemory{
		limit:        limit,
		high:         math.NaN(),
		usage:        c.files.number(dir, "memory.usage_in_bytes"),
		inactiveFile: keyed(stat, "total_inactive_file"),
		oom:          math.NaN(),
		oomKill:      keyed(c.files.text(dir, "memory.oom_control"), "oom_kill"),
	}
}

// finiteV1 drops the number by which v1 says unlimited: the largest signed
// integer, rounded down to whole pages of whichever size.
func finiteV1(limit float64) float64 {
	if limit >= 1<<62 {
		return math.NaN()
	}
	return limit
}
