// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"slices"
	"sort"
	"strings"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// value is a point of a snapshot that can be published.
type value struct {
	runtimeinfo.Point
	form *form
}

// choose appends to chosen what can be published of the newest snapshot, each
// value once and the values of one family together, and counts the rest as
// skipped. Both ways to render a scrape begin here. It allocates only where
// label values have to be mended.
func (st *state) choose(chosen []value) (_ []value, skipped uint64) {
	if st.snapshot == nil {
		return chosen, 0
	}
	var same twins
	for p := range st.snapshot.Points() {
		f := st.plan.forms[p.Metric]
		if f == nil || !wellFormed(&p) {
			skipped++
			continue
		}
		p.Labels = validAll(p.Labels)
		if len(chosen) == 0 || chosen[len(chosen)-1].Metric != p.Metric {
			same = twins{first: len(chosen)}
		}
		if same.has(chosen, p.Labels) {
			skipped++
			continue
		}
		chosen = append(chosen, value{p, f})
	}
	if st.plan.scattered {
		sort.SliceStable(chosen, func(i, j int) bool { return chosen[i].form.family < chosen[j].form.family })
	}
	return chosen, skipped
}

// twins finds values of one metric that have the same labels.
type twins struct {
	first      int // of the metric's values
	disordered bool
}

// has tells whether these labels are there already. Readers list the values of a
// metric in ascending order, so that a look at the last one is enough; what comes
// in no order is compared with all.
func (t *twins) has(chosen []value, labels []string) bool {
	values := chosen[t.first:]
	if len(values) == 0 {
		return false
	}
	t.disordered = t.disordered || slices.Compare(values[len(values)-1].Labels, labels) >= 0
	return t.disordered && slices.ContainsFunc(values, func(v value) bool { return slices.Equal(v.Labels, labels) })
}

// wellFormed refuses what neither syntax has a form for.
func wellFormed(p *runtimeinfo.Point) bool {
	if len(p.Labels) != len(p.Metric.Keys) {
		return false
	}
	h := p.Histogram
	if p.Metric.Kind != runtimeinfo.KindHistogram {
		return h == nil
	}
	return h != nil && len(h.Counts) == len(h.Bounds)+1
}

// validAll is valid for each value; it copies only where there is something to
// replace, since the values belong to the snapshot.
func validAll(values []string) []string {
	for i, v := range values {
		if w := valid(v); w != v {
			values = slices.Clone(values)
			values[i] = w
		}
	}
	return values
}

// valid replaces what is not UTF-8, which client_golang refuses.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
