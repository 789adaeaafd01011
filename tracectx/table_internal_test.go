// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestShardsShareNoCacheLine(t *testing.T) {
	const line = 64
	if size := unsafe.Sizeof(shard{}); size%line != 0 {
		t.Errorf("a shard is %d bytes", size)
	}
	if end := unsafe.Offsetof(shard{}.keys); end >= line {
		t.Errorf("the first key of a shard is at byte %d", end)
	}
}

// TestTableHoldsItsCapacity fills tables to their capacity, with ids as generators
// create them. At most one span may be rejected.
func TestTableHoldsItsCapacity(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // reproducible on purpose
	for name, ids := range map[string]func(i uint64) (uint64, uint64){
		"random":              func(uint64) (uint64, uint64) { return r.Uint64(), r.Uint64() },
		"counting":            func(i uint64) (uint64, uint64) { return i, i },
		"counting, one trace": func(i uint64) (uint64, uint64) { return 1, i },
		"counting traces":     func(i uint64) (uint64, uint64) { return i, 1 },
		"in the high bits":    func(i uint64) (uint64, uint64) { return i << 48, i << 48 },
	} {
		// The largest capacity of its table: the worst case.
		const capacity = 32 * perShard
		rounds := uint64(100)
		if testutil.RaceEnabled {
			rounds = 2 // one goroutine, so there is no race to find; the gate also runs this test without the detector
		}
		var lost uint64
		for round := range rounds {
			tab := newTable(capacity, false, newNames(1), &clock{})
			for i := range uint64(capacity) {
				addIDs(tab, ids, round*capacity+i+1)
			}
			lost += tab.full.Load()
		}
		if lost > 1 {
			t.Errorf("%s: %d of %d rejected", name, lost, capacity*rounds)
		}
	}
}

func addIDs(tab *table, ids func(uint64) (uint64, uint64), i uint64) {
	var s slot
	var span trace.SpanID
	traceID, spanID := ids(i)
	binary.BigEndian.PutUint64(s.trace[8:], traceID)
	binary.BigEndian.PutUint64(span[:], spanID)
	tab.add(keyOf(span), &s, tab.names.other, refs{}, new(atomic.Bool))
}

// TestConcurrentAddsOfANameReturnOneEntry calls add twice, as two goroutines do that
// both did not find the name.
func TestConcurrentAddsOfANameReturnOneEntry(t *testing.T) {
	n := newNames(2)
	if first, again := n.add("a"), n.add("a"); first != again {
		t.Error("one name has two entries")
	}
	n.add("b")
	if n.add("c") != n.other || len(n.all()) != 3 {
		t.Errorf("%d names", len(n.all()))
	}
}

// A root that begins near the top of a small stack is not taken for one that began on the
// adjacent stack.
func TestStackReachIsLessThanASmallStack(t *testing.T) {
	c := make(chan uint32)
	go func() {
		c <- func() uint32 { return func() uint32 { return func() uint32 { return stackReach() }() }() }()
	}()
	if reach := <-c; reach >= 2048 {
		t.Errorf("reach %d", reach)
	}
}

func TestNanoseconds(t *testing.T) {
	for _, test := range []struct {
		time time.Time
		want int64
	}{
		{time.Unix(1, 2), 1_000_000_002},
		{time.Unix(-1, 2), -999_999_998},
		{time.Time{}, -9223372035e9},
		{time.Unix(math.MaxInt64, 0), 9223372035e9},
		{time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC), 9214646400e9},
	} {
		if got := nanoseconds(test.time); got != test.want {
			t.Errorf("%v: got %d, want %d", test.time, got, test.want)
		}
	}
}

// TestQuantilesFade compares with a plain implementation.
func TestQuantilesFade(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1)) //nolint:gosec // reproducible on purpose
	var d durations
	var plain [durationBuckets]float64
	for range 300 {
		fade := r.Float64()
		for i := range plain {
			plain[i] *= fade
		}
		for range r.IntN(20) {
			bucket, n := uint8(r.IntN(durationBuckets)), r.Uint32N(3)+1
			d.counts[bucket].Add(uint64(n))
			plain[bucket] += float64(n)
		}
		d.observe(fade)
		p50, p99 := d.recent.quantiles()
		if want50, want99 := plainQuantile(&plain, 0.5), plainQuantile(&plain, 0.99); p50 != want50 || p99 != want99 {
			t.Fatalf("got %v and %v, want %v and %v", p50, p99, want50, want99)
		}
	}
}

func plainQuantile(counts *[durationBuckets]float64, q float64) time.Duration {
	var total, sum float64
	for _, n := range counts {
		total += n
	}
	for i, n := range counts {
		if sum += n; total >= 0.5 && sum >= q*total {
			return bucketEnd(i)
		}
	}
	return 0
}

// TestOldestEqualsSorting compares with sorting all spans. Many starts are equal.
func TestOldestEqualsSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1)) //nolint:gosec // reproducible on purpose
	for n := range 300 {
		var o oldest
		o.reset()
		var all []tracked
		for range n {
			x := tracked{r.Uint64N(50), slot{start: r.Int64N(40)}}
			x.trace[15] = byte(r.IntN(4))
			all = append(all, x)
			if x.start <= o.newest {
				o.add(x)
			}
		}
		slices.SortFunc(all, func(a, b tracked) int {
			return cmp.Or(cmp.Compare(a.start, b.start), bytes.Compare(a.trace[:], b.trace[:]), cmp.Compare(a.key, b.key))
		})
		if want := all[:min(n, runtimeinfo.MaxSpans)]; !slices.Equal(o.spans, want) {
			t.Fatalf("of %d spans: got %+v, want %+v", n, o.spans, want)
		}
	}
}

// labelled finds the same roots whether it reads the shards of a variant or all.
func TestLabelledByVariant(t *testing.T) {
	for _, capacity := range []int{64, 2048, 5000} {
		names := newNames(1)
		table := newTable(capacity, false, names, &clock{})
		var open atomic.Bool
		random := rand.New(rand.NewPCG(1, 2))
		for range uint32(capacity) {
			s := slot{stack: random.Uint32()}
			binary.LittleEndian.PutUint64(s.trace[:], random.Uint64())
			key := random.Uint64()
			s.label = uint32(table.variant(key, &s.trace)) + 1
			table.add(key, &s, names.other, refs{}, &open)
		}
		for variant := range variants {
			here := random.Uint32()
			active, distance := table.labelled(uint32(variant)+1, here, variant)
			wantActive, want := table.labelled(uint32(variant)+1, here, -1)
			if active != wantActive || distance != want {
				t.Errorf("capacity %d, variant %d: %v, %d, want %v, %d", capacity, variant, active, distance, wantActive, want)
			}
			if !active {
				t.Errorf("capacity %d: no root uses variant %d", capacity, variant)
			}
			if active, _ := table.labelled(uint32(variant)+1, here, (variant+1)%variants); active && len(table.shards) >= variants {
				t.Errorf("capacity %d: a root of variant %d is in another shard", capacity, variant)
			}
		}
	}
}

// The distance is measured to the nearest start above, and is 0 for a start that is a little below.
func TestLabelledDistance(t *testing.T) {
	names := newNames(1)
	table := newTable(2048, false, names, &clock{})
	var open atomic.Bool
	for i, stack := range []uint32{20_000, 50_000, 90_000} {
		table.add(uint64(i)+1, &slot{stack: stack, label: 7}, names.other, refs{}, &open)
	}
	for here, want := range map[uint32]uint32{10_000: 10_000, 30_000: 20_000, 50_100: 0, 49_900: 0, 60_000: 30_000} {
		if _, got := table.labelled(7, here, -1); got != want {
			t.Errorf("from %d: %d, want %d", here, got, want)
		}
	}
	if active, got := table.labelled(8, 0, -1); active || got != math.MaxUint32 {
		t.Errorf("another label: %v, %d", active, got)
	}
}
