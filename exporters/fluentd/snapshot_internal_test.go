// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/sampler"
)

// odd is a snapshot of what does not fit into a record as it is.
func odd() *runtimeinfo.Snapshot {
	m := func(name string, keys ...string) *runtimeinfo.Metric {
		return &runtimeinfo.Metric{Name: name, Kind: runtimeinfo.KindGauge, Keys: keys}
	}
	broken, keyed := m("broken", "\xff", "\xfe"), m("keyed", "value", "a", "a")
	long := m("long", strings.Repeat("k", 300))
	s := runtimeinfo.NewSnapshot(
		runtimeinfo.Point{Metric: m("nan"), Number: math.NaN()},
		runtimeinfo.Point{Metric: m("inf"), Number: math.Inf(1)},
		runtimeinfo.Point{Metric: m("same"), Number: 1},
		runtimeinfo.Point{Metric: m("same"), Number: 2},
		runtimeinfo.Point{Metric: m("sum"), Number: -2.5},
		runtimeinfo.Point{Metric: broken, Labels: []string{"x\xff", "y"}, Number: 3},
		runtimeinfo.Point{Metric: broken, Labels: []string{"x", "y"}, Number: math.NaN()},
		runtimeinfo.Point{Metric: keyed, Labels: []string{"v", "first", "last"}, Number: 4},
		runtimeinfo.Point{Metric: long, Labels: []string{strings.Repeat("é", 40_000)}, Number: 5},
		runtimeinfo.Point{Metric: &runtimeinfo.Metric{Name: "h", Kind: runtimeinfo.KindHistogram}, Histogram: &runtimeinfo.Histogram{
			Bounds: []float64{1}, Counts: []uint64{1, math.MaxUint64 - 1}, Sum: math.Inf(1),
		}},
	)
	s.Resource = []runtimeinfo.Attr{{Key: "b\xff", Value: "\xff"}, {Key: "b\xfe", Value: "again"}}
	s.Time = time.Unix(1_800_000_000, 0)
	s.Spans = []runtimeinfo.Span{{Name: "GET /\xff", Start: s.Time.Add(time.Hour)}, {Name: strings.Repeat("n", 40_000), Start: s.Time.Add(-time.Second)}}
	return s
}

// TestSnapshotLikeAnyRecord: the short way from a snapshot to its bytes ends where
// the one through exporters.Record does, also in memory that was used before.
func TestSnapshotLikeAnyRecord(t *testing.T) {
	var e encoder
	labelled := 0
	r := sampler.NewReader(sampler.Config{Resource: []runtimeinfo.Attr{{Key: "service.name", Value: "shop"}}})
	r.Read(sampler.Tick{Time: time.Now(), Self: runtimeinfo.Self{Exporters: make([]runtimeinfo.ExporterStats, 3)}})
	for name, s := range map[string]*runtimeinfo.Snapshot{
		"live": r.Snapshot(), "by hand": exporttest.Snapshot(), "odd": odd(), "empty": runtimeinfo.NewSnapshot(),
	} {
		want, got := encode(exporters.Record(s), 0), encodeSnapshot(&e, s)
		a, b := decodeRecord(t, want), decodeRecord(t, got)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s:\n%v\nwant\n%v", name, b, a)
		}
		if got.omitted != want.omitted || got.altered != want.altered || got.tooLarge {
			t.Errorf("%s: omitted %d, altered %d, want %d and %d", name, got.omitted, got.altered, want.omitted, want.altered)
		}
		for _, v := range b {
			if list, ok := v.([]any); ok {
				labelled += len(list)
			}
		}
	}
	if labelled < 40 {
		t.Errorf("%d maps in lists: too few to compare", labelled)
	}
}

// TestSnapshotAllocations: an encoding allocates the texts that a snapshot does not
// have, no more.
func TestSnapshotAllocations(t *testing.T) {
	s := exporttest.Snapshot()
	histograms := 0
	for p := range s.Points() {
		if p.Histogram != nil {
			histograms++
		}
	}
	var e encoder
	before := slices.Clone(encodeSnapshot(&e, s).body)
	// The id, a key for each attribute and two for each histogram, two ids for each
	// span, the list of labels, and what iterating takes.
	most := float64(2 + len(s.Resource) + 2*histograms + 4*len(s.Spans) + 10)
	if n := testing.AllocsPerRun(100, func() { encodeSnapshot(&e, s) }); n > most {
		t.Errorf("%v allocations, want at most %v", n, most)
	}
	if !slices.Equal(before, encodeSnapshot(&e, s).body) {
		t.Error("the same snapshot has another encoding")
	}
}

// TestFirstValueWithAFormStays: a value that is left out does not take its key.
func TestFirstValueWithAFormStays(t *testing.T) {
	r := encode(func(yield func(string, any) bool) {
		_ = yield("k", math.NaN()) && yield("k", 1.5) && yield("k", 2.5)
	}, 0)
	if got := decodeRecord(t, r); !reflect.DeepEqual(got, map[string]any{"k": 1.5}) || r.omitted != 2 {
		t.Errorf("%v, %d omitted", got, r.omitted)
	}
}
