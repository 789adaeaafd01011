// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A state with a valid checksum and some arbitrary words is rejected, or usable for an hour
// of judgements with finite bands.
func TestForgedStatesAreHarmless(t *testing.T) {
	now := time.Unix(1.8e9, 0)
	r := rand.New(rand.NewPCG(1, 16)) //nolint:gosec // a test
	taken := 0
	for range 300 {
		s := forgedState(t, r)
		b, err := encodeState(map[string]*stored{"goroutines": s}, now)
		if err != nil {
			t.Fatal(err)
		}
		all, err := decodeState(b, now)
		if err != nil {
			continue
		}
		taken++
		useState(t, all["goroutines"], now, r)
	}
	if taken < 10 || taken > 290 {
		t.Errorf("%d of 300 states were accepted, want some of each", taken)
	}
}

// useState judges values with a restored state.
func useState(t *testing.T, s *stored, now time.Time, r *rand.Rand) {
	t.Helper()
	w, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range w.trackers[:2] {
		if x.scale > 0 {
			s.Learned.Scale = x.scale // other scales are rejected
		}
		w.stored = map[string]*stored{x.name: s}
		w.restoreTracker(x)
		x.startLeft = 0
		for range 200 {
			now = now.Add(time.Duration(1+r.IntN(20)) * time.Second)
			v := []float64{0, 1, r.Float64() * 1e3, 1e300, -1e300}[r.IntN(5)]
			x.observe(now, v, x.Fast.Curve.at(float64(r.IntN(loadSlots))), w.budgets[x.group])
			for _, f := range []float64{x.lower, x.upper, x.fast.expected, x.Fast.Sum, x.Slow.Sum} {
				if math.IsNaN(f) || math.IsInf(f, 0) {
					t.Fatalf("%v after restoring a state", f)
				}
			}
		}
	}
}

// forgedState overwrites one to three words of a state.
func forgedState(t *testing.T, r *rand.Rand) *stored {
	t.Helper()
	s := knowledge()["goroutines"]
	b, err := binary.Append(nil, binary.LittleEndian, s)
	if err != nil {
		t.Fatal(err)
	}
	for range 1 + r.IntN(3) {
		at := r.IntN(len(b) - 8)
		switch r.IntN(5) {
		case 0:
			binary.LittleEndian.PutUint64(b[at:], math.Float64bits(math.NaN()))
		case 1:
			binary.LittleEndian.PutUint32(b[at:], math.Float32bits(float32(math.Inf(1))))
		case 2:
			binary.LittleEndian.PutUint64(b[at:], math.Float64bits(-1e300))
		case 3:
			b[at] ^= byte(1 << r.IntN(8))
		case 4:
			binary.LittleEndian.PutUint64(b[at:], r.Uint64())
		}
	}
	if _, err := binary.Decode(b, binary.LittleEndian, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// NaN and infinity in any field are rejected.
func TestEveryNumberOfAStateIsChecked(t *testing.T) {
	now := time.Unix(1.8e9, 0)
	for name, set := range map[string]func(s *stored, v float64){
		"scale":      func(s *stored, v float64) { s.Learned.Scale = v },
		"curve":      func(s *stored, v float64) { s.Learned.Slow.Curve.Mean[31] = float32(v) },
		"drift":      func(s *stored, v float64) { s.Learned.Fast.Drift.Mean = v },
		"variance":   func(s *stored, v float64) { s.Learned.Slow.Drift.Variance = v },
		"sum":        func(s *stored, v float64) { s.Learned.Fast.Sum = v },
		"age":        func(s *stored, v float64) { s.Learned.Fast.Age = float32(v) },
		"day":        func(s *stored, v float64) { s.Minute.Day.Mean[71] = float32(v) },
		"slow":       func(s *stored, v float64) { s.Minute.Slow.Mean = v },
		"volatility": func(s *stored, v float64) { s.Minute.Volatility.Mean = v },
		"last":       func(s *stored, v float64) { s.Minute.Last = v },
		"peak":       func(s *stored, v float64) { s.Minute.Peak = v },
	} {
		for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			s := knowledge()["goroutines"]
			set(s, v)
			b, err := encodeState(map[string]*stored{"goroutines": s}, now)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decodeState(b, now); err == nil {
				t.Errorf("%s: %v is accepted", name, v)
			}
		}
	}
}
