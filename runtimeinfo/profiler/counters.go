// SPDX-License-Identifier: Apache-2.0

package profiler

import "unique"

// counters are the estimated CPU times that are published. They only increase: each profile adds its
// samples, times the CPU time that a sampled second of the last profiles stands for. The sum over a
// time is therefore close to the estimate of [Usage] for that time.
type counters struct {
	byOwner [numOwners]float64
	roots   map[unique.Handle[string]]*rootCounter // at most maxRoots
	other   float64
}

// rootCounter is the counter of one root span.
type rootCounter struct {
	seconds float64
	recent  float64 // seconds, of which a profile forgets a tenth
}

const (
	forget = 0.9
	// replaceAt is how much more recent CPU time than the least counter a root span without a
	// counter needs for taking its place.
	replaceAt = 2
)

func (c *counters) add(x *period, scale float64) {
	if c.roots == nil {
		c.roots = map[unique.Handle[string]]*rootCounter{}
	}
	for o, s := range x.sampled {
		c.byOwner[o] += scale * s
	}
	for _, r := range c.roots {
		r.recent *= forget
	}
	for _, r := range x.roots {
		seconds := scale * r.seconds
		counter := c.counterOf(r.name, seconds)
		if counter == nil {
			c.other += seconds
			continue
		}
		counter.seconds += seconds
		counter.recent += seconds
	}
}

// counterOf returns the counter of a root span, or nil if it counts as other. The series of a root
// span that loses its counter ends, which keeps "other" from decreasing.
func (c *counters) counterOf(name unique.Handle[string], seconds float64) *rootCounter {
	if counter := c.roots[name]; counter != nil || name.Value() == otherRoot {
		return counter
	}
	if len(c.roots) == maxRoots {
		var least unique.Handle[string]
		for n, r := range c.roots {
			if l := c.roots[least]; l == nil || r.recent < l.recent || r.recent == l.recent && n.Value() < least.Value() {
				least = n
			}
		}
		if seconds < replaceAt*c.roots[least].recent {
			return nil
		}
		delete(c.roots, least)
	}
	counter := new(rootCounter)
	c.roots[name] = counter
	return counter
}
