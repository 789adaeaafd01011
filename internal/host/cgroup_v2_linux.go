// SPDX-License-Identifier: Apache-2.0

package host

import "math"

// quotaV2 returns the CPU quota of one group in CPUs. cpu.max has the quota and the period in
// microseconds, or "max 100000" without a quota. The root group has no cpu.max.
func quotaV2(group *directory) float64 {
	text := group.text("cpu.max")
	if len(text) == 0 {
		return math.NaN()
	}
	first, rest := nextWord(text)
	second, rest := nextWord(rest)
	if third, _ := nextWord(rest); len(second) > 0 && len(third) == 0 {
		if string(first) == "max" {
			return math.NaN()
		}
		if quota, period := parseCount(first), parseCount(second); quota > 0 && period > 0 {
			return quota / period
		}
	}
	group.malformed("cpu.max")
	return math.NaN()
}

// throttlingV2 returns absent values for a group without the CPU controller: its cpu.stat has
// only usage.
func throttlingV2(group *directory) throttling {
	text := group.text("cpu.stat")
	return throttling{
		periods:   keyed(text, "nr_periods"),
		throttled: keyed(text, "nr_throttled"),
		time:      keyed(text, "throttled_usec") / 1e6,
	}
}

// memoryV2 takes usage and events from the group with the lowest memory.max or, without such a
// limit, the lowest memory.high. The kernel counts a hit in the group that has the limit.
func memoryV2(groups []*directory) groupMemory {
	limit, group := tightest(groups, func(group *directory) float64 { return group.number("memory.max") })
	high, highGroup := tightest(groups, func(group *directory) float64 { return group.number("memory.high") })
	if math.IsNaN(limit) {
		group = highGroup
	}
	events := group.text("memory.events")
	return groupMemory{
		limit:        limit,
		high:         high,
		usage:        group.number("memory.current"),
		inactiveFile: keyed(group.text("memory.stat"), "inactive_file"),
		oom:          keyed(events, "oom"),
		oomKill:      keyed(events, "oom_kill"),
	}
}
