package tracectx

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"go.opentelemetry.io/otel/trace"
)

// TestBucketIsTwoCacheLines guards the layout that the speed comes from.
func TestBucketIsTwoCacheLines(t *testing.T) {
	if size := unsafe.Sizeof(bucket{}); size != 128 {
		t.Errorf("a bucket is %d bytes", size)
	}
}

// TestTableHoldsItsCapacity fills tables to the brim of their capacity, with ids as
// generators make them, and wants next to no span turned away.
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
		const capacity, rounds = 512 * perBucket, 100
		var lost uint64
		for round := range uint64(rounds) {
			tab := newTable(capacity, false)
			for i := range uint64(capacity) {
				addIDs(tab, ids, round*capacity+i+1)
			}
			lost += tab.full.Load()
		}
		if lost > 1 {
			t.Errorf("%s: %d of %d turned away", name, lost, capacity*rounds)
		}
	}
}

func addIDs(tab *table, ids func(uint64) (uint64, uint64), i uint64) {
	var s slot
	var span trace.SpanID
	traceID, spanID := ids(i)
	binary.BigEndian.PutUint64(s.trace[8:], traceID)
	binary.BigEndian.PutUint64(span[:], spanID)
	tab.add(span, &s, nil, new(atomic.Bool))
}

// TestAddChecksAgain calls add as two goroutines do that both found the name missing.
func TestAddChecksAgain(t *testing.T) {
	n := newNames(2)
	if first, again := n.add("a"), n.add("a"); first != again {
		t.Error("one name twice")
	}
	n.add("b")
	if n.add("c") != n.other || len(n.all()) != 3 {
		t.Errorf("%d names", len(n.all()))
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
