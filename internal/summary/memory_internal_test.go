// SPDX-License-Identifier: Apache-2.0

package summary

import (
	"strconv"
	"testing"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// A summary of many hours, in which names of spans come and go, has a bounded number of series. The series
// of the last tick and the metrics without labels keep their range.
func TestSeriesAreBounded(t *testing.T) {
	pause := &runtimeinfo.Metric{Name: "pause", Kind: runtimeinfo.KindGauge, Ranged: true}
	active := &runtimeinfo.Metric{Name: "active", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Keys: []string{"name"}}
	var sum Summary
	most := 0
	for i := range 20_000 {
		points := []runtimeinfo.Point{
			{Metric: active, Labels: []string{"stays"}, Number: float64(i)},
			{Metric: active, Labels: []string{strconv.Itoa(i)}, Number: 1},
			{Metric: active, Labels: []string{strconv.Itoa(-1 - i)}, Number: 1},
		}
		if i == 1 {
			points = append(points, runtimeinfo.Point{Metric: pause, Number: 5})
		}
		s := runtimeinfo.NewSnapshot(points...)
		s.Seq, s.Ticks = uint64(i+1), 1
		sum.Add(s)
		most = max(most, len(sum.spreads))
	}
	if most > 5000 || most < 4000 {
		t.Errorf("%d series, want about 4096", most)
	}
	for key, least := range map[string]float64{"active\x05stays": 0, "pause": 5} {
		if x := sum.spreads[key]; x == nil || x.min != least {
			t.Errorf("%q: %+v", key, x)
		}
	}
}

// The series of one snapshot are never removed, however many they are.
func TestManySeriesAtATime(t *testing.T) {
	active := &runtimeinfo.Metric{Name: "active", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Keys: []string{"name"}}
	var sum Summary
	for i := range 3 {
		var points []runtimeinfo.Point
		for name := range 3 * maxSeries {
			points = append(points, runtimeinfo.Point{Metric: active, Labels: []string{strconv.Itoa(name)}, Number: float64(i)})
		}
		s := runtimeinfo.NewSnapshot(points...)
		s.Seq, s.Ticks = uint64(i+1), 1
		sum.Add(s)
	}
	n := 0
	for p := range sum.Snapshot().Points() {
		if n++; p.Range == nil || p.Range.Min != 0 || p.Range.Max != 2 {
			t.Fatalf("%v: %+v", p.Labels, p.Range)
		}
	}
	if n != 3*maxSeries {
		t.Errorf("%d series", n)
	}
}
