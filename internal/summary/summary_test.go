// SPDX-License-Identifier: Apache-2.0

package summary_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/summary"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// ticks makes the snapshots of an engine with a few metrics.
type ticks struct {
	queue, pause, limit, active *runtimeinfo.Metric

	catalogue *runtimeinfo.Catalogue
	seq       uint64
	start     time.Time
}

func newTicks(t testing.TB) *ticks {
	t.Helper()
	x := &ticks{
		queue:  &runtimeinfo.Metric{Name: "queue", Kind: runtimeinfo.KindGauge, Ranged: true},
		limit:  &runtimeinfo.Metric{Name: "limit", Kind: runtimeinfo.KindGauge},
		pause:  &runtimeinfo.Metric{Name: "pause", Kind: runtimeinfo.KindGauge, Ranged: true},
		active: &runtimeinfo.Metric{Name: "active", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Keys: []string{"name"}},
		start:  time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC),
	}
	var err error
	if x.catalogue, err = runtimeinfo.NewCatalogue(x.queue, x.limit, x.pause, x.active); err != nil {
		t.Fatal(err)
	}
	return x
}

// values are the values of a tick; NaN is absent.
type values struct {
	queue, limit, pause float64
	active              map[string]float64
}

func (x *ticks) next(v values) *runtimeinfo.Snapshot {
	x.seq++
	s := runtimeinfo.Snapshot{Seq: x.seq, Time: x.start.Add(time.Duration(x.seq) * time.Second), Start: x.start, Ticks: 1}
	if x.seq > 1 {
		s.Since = s.Time.Add(-time.Second)
	}
	b := runtimeinfo.NewBuilder(x.catalogue, s)
	d := b.Draft()
	d.Add(x.queue, v.queue)
	d.Add(x.limit, v.limit)
	d.Add(x.pause, v.pause)
	for _, name := range []string{"a", "b", "c"} {
		if n, ok := v.active[name]; ok {
			d.Add(x.active, n, name)
		}
	}
	b.Merge(d)
	return b.Snapshot()
}

// find returns the point with a key and the labels, or nil.
func find(s *runtimeinfo.Snapshot, key string, labels ...string) *runtimeinfo.Point {
	for p := range s.Points() {
		if p.Metric.Key() == key && (len(labels) == 0 || p.Labels[0] == labels[0]) {
			return &p
		}
	}
	return nil
}

func wantPoint(t *testing.T, s *runtimeinfo.Snapshot, number, least, mean, greatest float64, key string, labels ...string) {
	t.Helper()
	p := find(s, key, labels...)
	if p == nil || p.Range == nil {
		t.Errorf("%s%v: %+v, want a value with a range", key, labels, p)
		return
	}
	if want := (runtimeinfo.Range{Min: least, Mean: mean, Max: greatest}); p.Number != number || *p.Range != want {
		t.Errorf("%s%v is %v, %+v; want %v, %+v", key, labels, p.Number, *p.Range, number, want)
	}
}

var none = math.NaN()

func TestSummaryHasRanges(t *testing.T) {
	x := newTicks(t)
	var sum summary.Summary
	sum.Add(x.next(values{10, 7, none, map[string]float64{"a": 1, "b": 5}}))
	sum.Add(x.next(values{40, 7, 0.5, map[string]float64{"a": 3, "b": 5}}))
	sum.Add(x.next(values{-20, 7, 0.25, map[string]float64{"a": 2, "c": 9}}))
	last := x.next(values{30, 7, none, map[string]float64{"a": 6, "c": 8}})
	sum.Add(last)
	s := sum.Snapshot()
	if s.Seq != 4 || s.Ticks != 4 || !s.Time.Equal(last.Time) || !s.Since.IsZero() {
		t.Errorf("seq %d, %d ticks, since %v to %v", s.Seq, s.Ticks, s.Since, s.Time)
	}
	wantPoint(t, s, 30, -20, 15, 40, "queue")
	wantPoint(t, s, 0.25, 0.25, 0.375, 0.5, "pause") // absent at the last tick
	wantPoint(t, s, 6, 1, 3, 6, "active", "a")
	wantPoint(t, s, 8, 8, 8.5, 9, "active", "c")
	if p := find(s, "active", "b"); p != nil {
		t.Errorf("a series that the last tick lacks: %+v", p)
	}
	if p := find(s, "limit"); p == nil || p.Number != 7 || p.Range != nil {
		t.Errorf("a metric without Ranged: %+v", p)
	}
	for p := range last.Points() {
		if p.Range != nil {
			t.Errorf("the last snapshot was changed: %+v", p)
		}
	}
	if _, ok := last.Number("pause"); ok {
		t.Error("the last snapshot was changed")
	}
}

// After Reset nothing is left of the summary before it.
func TestSummaryReset(t *testing.T) {
	x := newTicks(t)
	var sum summary.Summary
	for i := range 5 {
		sum.Add(x.next(values{float64(100 + i), 7, 9, map[string]float64{"a": 50, "b": 60}}))
	}
	before := sum.Snapshot()
	sum.Reset()
	if sum.Snapshot() != nil {
		t.Error("a summary without snapshots is not empty")
	}
	one := x.next(values{1, 7, none, map[string]float64{"a": 1}})
	sum.Add(one)
	if s := sum.Snapshot(); s != one {
		t.Errorf("the summary of one snapshot is another one: %+v", s)
	}
	sum.Add(x.next(values{3, 7, none, map[string]float64{"a": 3}}))
	s := sum.Snapshot()
	wantPoint(t, s, 3, 1, 2, 3, "queue")
	wantPoint(t, s, 3, 1, 2, 3, "active", "a")
	if p := find(s, "pause"); p != nil {
		t.Errorf("a value of the summary before: %+v", p)
	}
	if s.Ticks != 2 || !s.Since.Equal(before.Time) {
		t.Errorf("%d ticks since %v, want 2 since %v", s.Ticks, s.Since, before.Time)
	}
	wantPoint(t, before, 104, 100, 102, 104, "queue") // Reset does not change an earlier result
}

// A summary that failed to be delivered is added to the next one, after its first ticks.
func TestSummaryOfSummaries(t *testing.T) {
	x := newTicks(t)
	var all, sum, next summary.Summary
	first := x.next(values{1000, 7, 2, nil})
	all.Add(first)
	for i := range 3 {
		s := x.next(values{float64(i), 7, none, map[string]float64{"a": float64(i)}})
		sum.Add(s)
		all.Add(s)
	}
	failed := sum.Snapshot()
	for i := range 3 {
		s := x.next(values{float64(10 * i), 7, none, map[string]float64{"a": 4}})
		next.Add(s)
		all.Add(s)
		if i == 0 {
			next.Add(failed)
		}
	}
	next.Add(first)
	got, want := next.Snapshot(), all.Snapshot()
	if got.Ticks != 7 || got.Seq != want.Seq || !got.Since.Equal(want.Since) {
		t.Errorf("%d ticks to seq %d since %v, want %d to %d since %v", got.Ticks, got.Seq, got.Since, want.Ticks, want.Seq, want.Since)
	}
	for p := range want.Points() {
		if p.Range != nil {
			wantPoint(t, got, p.Number, p.Range.Min, p.Range.Mean, p.Range.Max, p.Metric.Key(), p.Labels...)
		}
	}
}

// A gauge that the application adds meanwhile changes the catalogue.
func TestSummaryOfTwoCatalogues(t *testing.T) {
	x := newTicks(t)
	var sum summary.Summary
	sum.Add(x.next(values{5, 7, none, nil}))
	old := x.next(values{3, 7, none, nil})
	added := &runtimeinfo.Metric{Name: "added", Kind: runtimeinfo.KindGauge, Ranged: true}
	c, err := runtimeinfo.NewCatalogue(append(slices.Clip(x.catalogue.Metrics()), added)...)
	if err != nil {
		t.Fatal(err)
	}
	x.catalogue = c
	sum.Add(x.next(values{1, 7, none, nil}))
	sum.Add(old)
	s := sum.Snapshot()
	wantPoint(t, s, 1, 1, 3, 5, "queue")
	if n := len(s.Metrics()); n != 5 {
		t.Errorf("%d metrics, want the metrics of the last tick", n)
	}
}

// Numbers whose sum overflows have a range that is in order.
func TestSummaryOfHugeNumbers(t *testing.T) {
	x := newTicks(t)
	var sum summary.Summary
	for _, v := range []float64{math.MaxFloat64, math.MaxFloat64, -math.MaxFloat64, -math.MaxFloat64} {
		sum.Add(x.next(values{v, 7, none, nil}))
	}
	if r := find(sum.Snapshot(), "queue").Range; r.Min != -math.MaxFloat64 || r.Max != math.MaxFloat64 || math.IsNaN(r.Mean) || r.Mean > r.Max {
		t.Errorf("%+v", *r)
	}
	sum.Reset()
	sum.Add(&runtimeinfo.Snapshot{}) // without a catalogue
	sum.Add(&runtimeinfo.Snapshot{})
	if s := sum.Snapshot(); s.Ticks != 2 {
		t.Errorf("%+v", s)
	}
}

// Only gauges and up-down counters have ranges: the others are cumulative.
func TestRangedMetrics(t *testing.T) {
	n := 0
	for _, m := range catalogue.All() {
		if m.Ranged {
			n++
			if m.Kind != runtimeinfo.KindGauge && m.Kind != runtimeinfo.KindUpDownCounter {
				t.Errorf("%s is a %s and has a range", m.Key(), m.Kind)
			}
		}
	}
	if n < 20 || n > 45 {
		t.Errorf("%d metrics have a range, want between 20 and 45: each adds three numbers to a record", n)
	}
}

func TestSummaryDoesNotAllocate(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	x := newTicks(t)
	var all []*runtimeinfo.Snapshot
	for i := range 10 {
		all = append(all, x.next(values{float64(i), 7, none, map[string]float64{"a": 1, "b": 2}}))
	}
	var sum summary.Summary
	add := func() {
		for _, s := range all {
			sum.Add(s)
		}
		sum.Reset()
	}
	add()
	if n := testing.AllocsPerRun(100, add); n != 0 {
		t.Errorf("%v allocations in ten ticks", n)
	}
}
