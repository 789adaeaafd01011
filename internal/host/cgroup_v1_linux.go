// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"math"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// quotaV1 returns the CPU quota of one group in CPUs. The kernel writes -1 for no quota.
func quotaV1(group directory) float64 {
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

// readMemoryV1 prefers the limit in memory.stat of the lowest group: there the kernel includes
// groups that are not visible here and omits those without use_hierarchy. v1 does not count
// how often the limit was hit: memory.failcnt includes attempts that succeeded after reclaim.
func readMemoryV1(s *Sample, groups []directory) (usage, inactiveFile float64) {
	limit, group := tightest(groups, func(group directory) float64 {
		return finiteV1(group.number("memory.limit_in_bytes"))
	})
	stat := groups[0].text("memory.stat")
	if v := keyed(stat, "hierarchical_memory_limit"); !math.IsNaN(v) && finiteV1(v) != limit {
		limit, group = finiteV1(v), groups[0]
	}
	if group != groups[0] {
		stat = group.text("memory.stat")
	}
	put(s, hostfield.CgroupMemoryMax, limit)
	put(s, hostfield.CgroupMemoryOOMKill, keyed(group.text("memory.oom_control"), "oom_kill"))
	return group.number("memory.usage_in_bytes"), keyed(stat, "total_inactive_file")
}

// finiteV1 returns NaN for unlimited, which v1 writes as the largest signed integer rounded
// down to a multiple of the page size.
func finiteV1(limit float64) float64 {
	if limit >= 1<<62 {
		return math.NaN()
	}
	return limit
}
