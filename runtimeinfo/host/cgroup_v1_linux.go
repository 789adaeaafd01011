// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"math"
)

// quotaV1 returns the CPU quota of one group in CPUs; -1 microseconds is none.
func quotaV1(group *directory) float64 {
	text := bytes.TrimSpace(group.text("cpu.cfs_quota_us"))
	if len(text) == 0 || string(text) == "-1" {
		return math.NaN()
	}
	quota, period := parseCount(text), group.number("cpu.cfs_period_us")
	if !(quota > 0) || !(period > 0) {
		group.malformed("cpu.cfs_quota_us")
		return math.NaN()
	}
	return quota / period
}

func throttlingV1(group *directory) throttling {
	text := group.text("cpu.stat")
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
func memoryV1(groups []*directory) groupMemory {
	limit, group := tightest(groups, func(group *directory) float64 {
		return finiteV1(group.number("memory.limit_in_bytes"))
	})
	stat := groups[0].text("memory.stat")
	if v := keyed(stat, "hierarchical_memory_limit"); !math.IsNaN(v) && finiteV1(v) != limit {
		limit, group = finiteV1(v), groups[0]
	}
	if group != groups[0] {
		stat = group.text("memory.stat")
	}
	return groupMemory{
		limit:        limit,
		high:         math.NaN(),
		usage:        group.number("memory.usage_in_bytes"),
		inactiveFile: keyed(stat, "total_inactive_file"),
		oom:          math.NaN(),
		oomKill:      keyed(group.text("memory.oom_control"), "oom_kill"),
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
