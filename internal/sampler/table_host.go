// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"math"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// hostRows returns the rows of the fields from first to last. Their values come from the host
// pass, which is less frequent than the tick.
func hostRows(first, last hostfield.Field) []row {
	var rows []row
	metrics := hostfield.Metrics()
	for f := first; f <= last; f++ {
		rows = append(rows, row{metrics[f], computed(func(r *reading) float64 { return r.host(f) })})
	}
	return rows
}

// host returns the value of a field, or NaN if it is absent.
func (r *reading) host(f hostfield.Field) float64 {
	v, ok := r.tick.Host.Get(f)
	if !ok {
		return math.NaN()
	}
	return v
}

func containerHeadroom(r *reading) float64 {
	return max(0, r.host(hostfield.CgroupMemoryMax)-r.host(hostfield.CgroupMemoryWorkingSet)) // NaN if one is absent
}
