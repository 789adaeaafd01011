package host

import (
	"math"
	"strings"
)

// quotaV2 returns the CPU quota of one group in CPUs. cpu.max holds quota and
// period in microseconds, "max 100000" without a quota. The root group has none.
func (c *cgroup) quotaV2(dir string) float64 {
	text := c.files.text(dir, "cpu.max")
	if text == "" {
		return math.NaN()
	}
	fields := strings.Fields(text)
	if len(fields) == 2 && fields[0] == "max" {
		return math.NaN()
	}
	if len(fields) == 2 {
		if quota, period := parseCount(fields[0]), parseCount(fields[1]); quota > 0 && period > 0 {
			return quota / period
		}
	}
	c.files.malformed(dir, "cpu.max")
	return math.NaN()
}

// throttlingV2 finds nothing in a group without the CPU controller, whose
// cpu.stat has usage only.
func (c *cgroup) throttlingV2(dir string) throttling {
	text := c.files.text(dir, "cpu.stat")
	return throttling{
		periods:   keyed(text, "nr_periods"),
		throttled: keyed(text, "nr_throttled"),
		time:      keyed(text, "throttled_usec") / 1e6,
	}
}

// memoryV2 takes usage and events from the group with the smallest memory.max,
// or, if there is no such limit, the smallest memory.high. A hit of the limit
// counts in the events of the group that has the limit, not in those below.
func (c *cgroup) memoryV2(dirs []string) groupMemory {
	limit, dir := tightest(dirs, func(dir string) float64 { return c.files.number(dir, "memory.max") })
	high, highDir := tightest(dirs, func(dir string) float64 { return c.files.number(dir, "memory.high") })
	if math.IsNaN(limit) {
		dir = highDir
	}
	events := c.files.text(dir, "memory.events")
	return groupMemory{
		limit:        limit,
		high:         high,
		usage:        c.files.number(dir, "memory.current"),
		inactiveFile: keyed(c.files.text(dir, "memory.stat"), "inactive_file"),
		oom:          keyed(events, "oom"),
		oomKill:      keyed(events, "oom_kill"),
	}
}
