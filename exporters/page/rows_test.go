// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Each value is in the column of its metric and labels, whichever points a snapshot has and in whatever
// order.
func TestColumnsOfChangingPoints(t *testing.T) {
	const metrics, rows = 8, 200
	all := make([]*runtimeinfo.Metric, metrics)
	for i := range all {
		all[i] = gauge("m" + strconv.Itoa(i))
	}
	all[metrics-1].Keys = []string{"label"}
	random := rand.New(rand.NewPCG(1, 2))
	e := newPage(t, page.Config{})
	want := map[string][]float64{} // 0 is absent
	for n := range rows {
		var points []runtimeinfo.Point
		for _, i := range random.Perm(metrics + 2) {
			p := runtimeinfo.Point{Metric: all[min(i, metrics-1)], Number: 1 + random.Float64()}
			key := p.Metric.Name
			if p.Metric.Keys != nil {
				p.Labels = []string{strconv.Itoa(i)}
				key += "{" + p.Labels[0] + "}"
			}
			if want[key] == nil {
				want[key] = make([]float64, rows)
			}
			if random.IntN(4) > 0 {
				points, want[key][n] = append(points, p), p.Number
			}
		}
		export(t, e, second(n, points...))
	}
	var h history
	call(t, e, "api/v1/history?key=m*", &h)
	if len(h.Columns) != metrics+2 {
		t.Errorf("%d columns, want %d", len(h.Columns), metrics+2)
	}
	for key, values := range want {
		for n, v := range values {
			switch got := h.Columns[key][n]; {
			case v == 0 && got != nil:
				t.Fatalf("%s in row %d is %v, want none", key, n, *got)
			case v != 0 && (got == nil || *got < v-1e-5 || *got > v+1e-5):
				t.Fatalf("%s in row %d is not %v", key, n, v)
			}
		}
	}
}
