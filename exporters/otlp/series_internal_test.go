// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"strconv"
	"testing"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// TestTableForgets: labels that are gone are remembered only while deltas are
// counted from them, through however many Exports that fail.
func TestTableForgets(t *testing.T) {
	m := &runtimeinfo.Metric{Name: "n", Kind: runtimeinfo.KindCounter, Keys: []string{"k"}}
	table := table{named: map[string]*series{}}
	b := &baseline{}
	export := func(label string) (before float64) {
		b.begin()
		p := runtimeinfo.Point{Metric: m, Labels: []string{label}, Number: 7}
		s := table.find(&p, 0, b.current)
		before, _ = b.number(s, p.Number)
		table.prune(b)
		return before
	}
	export("first")
	b.settle(runtimeinfo.NewSnapshot())
	for i := range 1000 {
		export(strconv.Itoa(i))
	}
	if len(table.named) != 2 || len(table.last) != 1 {
		t.Errorf("%d series, %d of them in the last Export", len(table.named), len(table.last))
	}
	if before := export("first"); before != 7 {
		t.Error("what deltas are counted from was forgotten")
	}
	export("other")
	b.settle(runtimeinfo.NewSnapshot())
	if export("first") != 0 {
		t.Error("what came back after it was gone was not new")
	}
}
