// SPDX-License-Identifier: Apache-2.0

package sampler

import "github.com/gmpulse/gmpulse/internal/hostfield"

// hostRows returns the rows of the fields from first to last. Their values come from the host
// pass, which is less frequent than the tick.
func hostRows(first, last hostfield.Field) []row {
	var rows []row
	metrics := hostfield.Metrics()
	for f := first; f <= last; f++ {
		rows = append(rows, row{metrics[f], &source{field: f, isField: true}})
	}
	return rows
}
