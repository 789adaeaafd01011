// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"math"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// quotaV2 returns the CPU quota of one group in CPUs. cpu.max has the quota and the period in
// microseconds, or "max 100000" without a quota. The root group has no cpu.max.
func quotaV2(group directory) float64 {
	words := bytes.Fields(group.text("cpu.max"))
	if len(words) == 0 || len(words) == 2 && string(words[0]) == "max" {
		return math.NaN()
	}
	if len(words) == 2 {
		if quota, period := parseCount(words[0]), parseCount(words[1]); quota > 0 && period > 0 {
			return quota / period
		}
	}
	group.malformed("cpu.max")
	return math.NaN()
}

// readMemoryV2 takes usage and events from the group with the lowest memory.max or, without
// such a limit, the lowest memory.high. The kernel counts a hit in the group that has the limit.
func readMemoryV2(s *Sample, groups []directory) (usage, inactiveFile float64) {
	limit, group := tightest(groups, func(group directory) float64 { return group.number("memory.max") })
	high, highGroup := tightest(groups, func(group directory) float64 { return group.number("memory.high") })
	if math.IsNaN(limit) {
		group = highGroup
	}
	put(s, hostfield.CgroupMemoryMax, limit)
	put(s, hostfield.CgroupMemoryHigh, high)
	events := group.text("memory.events")
	put(s, hostfield.CgroupMemoryOOM, keyed(events, "oom"))
	put(s, hostfield.CgroupMemoryOOMKill, keyed(events, "oom_kill"))
	return group.number("memory.current"), keyed(group.text("memory.stat"), "inactive_file")
}
