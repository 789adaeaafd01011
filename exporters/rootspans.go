// SPDX-License-Identifier: Apache-2.0

package exporters

import (
	"math"
	"sort"
	"strconv"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// rootSpans puts what is known of the root spans that ended, by name, the most frequent first.
func (w *fields) rootSpans(groups []runtimeinfo.SpanGroup) {
	if !w.all {
		return
	}
	var ended []*runtimeinfo.SpanGroup
	for i := range groups {
		if g := &groups[i]; g.Durations != nil {
			ended = append(ended, g)
		}
	}
	if len(ended) == 0 {
		return
	}
	sort.SliceStable(ended, func(i, j int) bool { return ended[i].Ended > ended[j].Ended })
	list := make([]any, min(len(ended), w.maxTexts))
	for i := range list {
		g := ended[i]
		list[i] = map[string]any{
			"name": valid(g.Name), "ended": g.Ended, "errors": g.Errors,
			"seconds": g.Durations.Sum, "durations": microseconds(g.Durations),
		}
	}
	w.put("root_spans", list)
}

// microseconds returns the buckets of a histogram of seconds that are not empty.
func microseconds(h *runtimeinfo.Histogram) string {
	var b []byte
	for i, n := range h.Counts[:len(h.Bounds)] { // no duration exceeds the last bound
		if n == 0 {
			continue
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendFloat(b, math.Round(h.Bounds[i]*1e6), 'f', 0, 64)
		b = append(b, ':')
		b = strconv.AppendUint(b, n, 10)
	}
	return string(b)
}
