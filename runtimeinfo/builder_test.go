// SPDX-License-Identifier: Apache-2.0

package runtimeinfo_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// catalogueOf returns a catalogue of two gauges and a labelled counter.
func catalogueOf(t *testing.T) (c *runtimeinfo.Catalogue, first, second, labelled *runtimeinfo.Metric) {
	t.Helper()
	first, second = &runtimeinfo.Metric{Name: "first", Kind: runtimeinfo.KindGauge}, &runtimeinfo.Metric{Name: "second", Kind: runtimeinfo.KindGauge}
	labelled = &runtimeinfo.Metric{Name: "labelled", Kind: runtimeinfo.KindCounter, Keys: []string{"exporter", "reason"}}
	c, err := runtimeinfo.NewCatalogue(first, labelled, second)
	if err != nil {
		t.Fatal(err)
	}
	return c, first, second, labelled
}

// The points of a draft share the memory of their labels.
func TestLabelsOfPointsAreIndependent(t *testing.T) {
	c, _, _, labelled := catalogueOf(t)
	var snapshots []*runtimeinfo.Snapshot
	sizes := []int{0, 1, 40, 3, 0, 100, 99, 101}
	for i, n := range sizes {
		b := runtimeinfo.NewBuilder(c, runtimeinfo.Snapshot{})
		d := b.Draft()
		for e := range n {
			d.Add(labelled, float64(1000*i+e), fmt.Sprint(i, "-", e), "error")
		}
		b.Merge(d)
		snapshots = append(snapshots, b.Snapshot())
	}
	for i, s := range snapshots {
		points := slices.Collect(s.Points())
		if len(points) != sizes[i] {
			t.Errorf("snapshot %d has %d values, want %d", i, len(points), sizes[i])
		}
		for n, p := range points {
			if p.Labels[0] != fmt.Sprint(i, "-", n) || p.Number != float64(1000*i+n) {
				t.Errorf("snapshot %d: %v is %v", i, p.Labels, p.Number)
			}
			if cap(p.Labels) != len(p.Labels) {
				t.Errorf("snapshot %d: an append to %v would change the labels of another point", i, p.Labels)
			}
		}
	}
}

// Drafts may add values in any order. The snapshot has them in the order of the catalogue, and the
// values of one metric in the order of the calls.
func TestBuilderSortsValues(t *testing.T) {
	c, first, second, labelled := catalogueOf(t)
	b := runtimeinfo.NewBuilder(c, runtimeinfo.Snapshot{})
	d := b.Draft()
	d.Add(second, 2)
	d.Add(labelled, 10, "a", "x")
	b.Merge(d)
	d = b.Draft()
	if v, ok := d.Snapshot().Number("second"); !ok || v != 2 {
		t.Errorf("in the second draft the value is %v, %v", v, ok)
	}
	d.Add(labelled, 11, "b", "x")
	d.Add(first, 1)
	b.Merge(d)
	var got []float64
	for p := range b.Snapshot().Points() {
		got = append(got, p.Number)
	}
	if !slices.Equal(got, []float64{1, 10, 11, 2}) {
		t.Errorf("values %v", got)
	}
}

func TestForkIsIndependentOfTheBuilder(t *testing.T) {
	c, first, second, labelled := catalogueOf(t)
	b := runtimeinfo.NewBuilder(c, runtimeinfo.Snapshot{})
	d := b.Draft()
	d.Add(first, 1)
	d.Add(labelled, 10, "a", "x")
	b.Merge(d)
	f := b.Fork()
	late := b.Draft()
	late.Add(second, 3)
	late.Events = append(late.Events, runtimeinfo.Event{Name: "late"})
	b.Merge(late)
	next := f.Draft()
	next.Events = late.Events
	f.Merge(next)
	s := f.Snapshot()
	if _, ok := s.Number("second"); ok || len(slices.Collect(s.Points())) != 2 {
		t.Error("the fork has values that were added afterwards")
	}
	if len(s.Events) != 1 {
		t.Errorf("events %v", s.Events)
	}
}

func TestDraftRejectsUndeclaredMetrics(t *testing.T) {
	c, _, _, labelled := catalogueOf(t)
	other := &runtimeinfo.Metric{Name: "other", Kind: runtimeinfo.KindGauge}
	for name, add := range map[string]func(*runtimeinfo.Draft){
		"undeclared":     func(d *runtimeinfo.Draft) { d.Add(other, 1) },
		"missing labels": func(d *runtimeinfo.Draft) { d.Add(labelled, 1, "a") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			add(runtimeinfo.NewBuilder(c, runtimeinfo.Snapshot{}).Draft())
		}()
	}
}
