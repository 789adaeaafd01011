// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"math"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// ContainerMemory returns the memory limit of the process's control groups, the lowest
// memory.max or memory.high, and the working set in bytes: usage without the inactive file
// cache, which the kernel can reclaim at once. ok is false if there is no limit or it cannot be
// read. A call reads six kernel files and takes about 0.1 ms.
func ContainerMemory() (limit, used float64, ok bool) { return containerMemory("/") }

func containerMemory(root string) (limit, used float64, ok bool) {
	c := &cgroup{root: root}
	s := NewSample()
	if c.resolve(context.Background(), s) != nil || c.readMemory(context.Background(), s) != nil {
		return 0, 0, false
	}
	limit = math.NaN()
	for _, f := range []hostfield.Field{hostfield.CgroupMemoryMax, hostfield.CgroupMemoryHigh} {
		if v, ok := s.Get(f); ok {
			limit = least(limit, v)
		}
	}
	used, known := s.Get(hostfield.CgroupMemoryWorkingSet)
	return limit, used, known && !math.IsNaN(limit)
}
