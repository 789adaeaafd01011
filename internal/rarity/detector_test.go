// SPDX-License-Identifier: Apache-2.0

package rarity_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/gmpulse/gmpulse/internal/rarity"
)

// seeds is the number of random series per test.
const seeds = 10

// daily returns sample i of a series without anomalies: its level follows the time of day,
// with noise.
func daily(r *rand.Rand, i int) float64 {
	phase := 2 * math.Pi * float64(i%288) / 288
	return 100 * (1 + 0.4*math.Sin(phase)) * math.Exp(0.05*r.NormFloat64())
}

// at returns the time of sample i.
func at(i int) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 5 * time.Minute)
}

func ExampleDetector() {
	s := rarity.New(false, 5*time.Minute)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 4000 {
		v := daily(r, i)
		if i == 3333 {
			v *= 3
		}
		if j := s.Next(at(i), v); j.Score >= rarity.Threshold && i > 1000 {
			fmt.Printf("sample %d: %.0f, expected %.0f: %v\n", i, v, j.Expected, j.View)
		}
	}
	// Output: sample 3333: 263, expected 83: unusual volatility
}

// A clean series has few alarms, and every kind of trouble has one.
func TestDetectorFindsEveryKindOfAnomaly(t *testing.T) {
	t.Parallel()
	trouble := map[string]func(i int, v float64) float64{
		"spike":       func(i int, v float64) float64 { return pick(i == 3400, 4*v, v) },
		"level shift": func(i int, v float64) float64 { return pick(i >= 3400, 1.8*v, v) },
		"drop":        func(i int, v float64) float64 { return pick(i >= 3400 && i < 3440, 0.2*v, v) },
		"flat line":   func(i int, v float64) float64 { return pick(i >= 3400, 100, v) },
		"wrong phase": func(i int, v float64) float64 { return pick(i >= 3400, 200-v, v) },
		"drift":       func(i int, v float64) float64 { return v * (1 + max(0, float64(i-3400))/60) },
	}
	falseAlarms := 0
	for seed := range uint64(seeds) {
		falseAlarms += len(alarms(seed, func(_ int, v float64) float64 { return v }))
		for name, f := range trouble {
			found := false
			for _, i := range alarms(seed, f) {
				found = found || i >= 3400 && i < 3500
			}
			if !found {
				t.Errorf("seed %d: %s was not found within 100 samples", seed, name)
			}
		}
	}
	if days := float64(seeds) * 4000 / 288; float64(falseAlarms) > 0.25*days {
		t.Errorf("%d false alarms in %.0f clean days", falseAlarms, days)
	}
}

// alarms returns the anomalous samples among 4000.
func alarms(seed uint64, f func(i int, v float64) float64) (found []int) {
	s := rarity.New(false, 5*time.Minute)
	r := rand.New(rand.NewPCG(seed, 7))
	for i := range 4000 {
		if s.Next(at(i), f(i, daily(r, i))).Score >= rarity.Threshold {
			found = append(found, i)
		}
	}
	return found
}

// A lasting anomaly is one alarm, even if its level varies.
func TestEpisodeIsOneAlarm(t *testing.T) {
	t.Parallel()
	const first, lasts = 2000, 100
	n, total := seeds, 0
	for seed := range uint64(n) {
		wobble := rand.New(rand.NewPCG(seed, 11))
		for _, i := range alarms(seed, func(i int, v float64) float64 {
			return pick(i >= first && i < first+lasts, v*(3+2*wobble.Float64()), v)
		}) {
			if i >= first && i < first+lasts {
				total++
			}
		}
	}
	if total < n || 2*total > 3*n {
		t.Errorf("%.1f alarms an episode, want one, seldom two", float64(total)/float64(n))
	}
}

// The same spike raises another alarm once the quiet period after the first is over.
func TestSecondSpikeIsAnotherAlarm(t *testing.T) {
	t.Parallel()
	for seed := range uint64(seeds) {
		for _, apart := range []int{70, 200, 600} {
			spikes := map[int]bool{3000: true, 3000 + apart: true}
			found := 0
			for _, i := range alarms(seed, func(i int, v float64) float64 { return pick(spikes[i], 500, v) }) {
				if spikes[i] {
					found++
				}
			}
			if found < 2 {
				t.Errorf("seed %d: found %d of two spikes %d samples apart", seed, found, apart)
			}
		}
	}
}

// The first samples with a mean for their time of day are not anomalies.
func TestSecondDayRaisesNoAlarm(t *testing.T) {
	for seed := range uint64(seeds) {
		s := rarity.New(false, 5*time.Minute)
		r := rand.New(rand.NewPCG(seed, 7))
		for i := range 2 * 288 {
			if j := s.Next(at(i), daily(r, i)); j.Score >= 1.2*rarity.Threshold {
				t.Errorf("seed %d: score %.1f at sample %d", seed, j.Score, i)
			}
		}
	}
}

func pick(cond bool, a, b float64) float64 {
	if cond {
		return a
	}
	return b
}

// Scores are finite and not negative for any input, NaN and infinities score 0, and the
// detector works afterwards.
func FuzzDetector(f *testing.F) {
	f.Add([]byte{})
	for _, v := range []float64{0, -1, 1e300, -1e300, math.Inf(1), math.NaN(), 5e-324, 1e-3, 1e9} {
		f.Add(binary.LittleEndian.AppendUint64(make([]byte, 8), math.Float64bits(v)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, spiky := range []bool{false, true} {
			s := rarity.New(spiky, time.Minute)
			r := rand.New(rand.NewPCG(1, 2))
			feed := func(i int, v float64) {
				j := s.Next(at(i), v)
				if j.Score < 0 || math.IsNaN(j.Score) || math.IsInf(j.Score, 0) {
					t.Fatalf("score %v for %v", j.Score, v)
				}
				if (math.IsNaN(v) || math.IsInf(v, 0)) && j.Score != 0 {
					t.Fatalf("score %v for %v", j.Score, v)
				}
			}
			for i := range 1000 {
				feed(i, daily(r, i))
			}
			n := 1000
			for len(data) >= 8 {
				feed(n, math.Float64frombits(binary.LittleEndian.Uint64(data)))
				data = data[8:]
				n++
			}
			for i := range 100 {
				feed(n+i, daily(r, n+i))
			}
		}
	})
}

func TestAbsurdValueDoesNotHideLaterAnomalies(t *testing.T) {
	for _, absurd := range []float64{1e300, -1e300, 1e9, math.Inf(1), math.NaN()} {
		found := alarms(3, func(i int, v float64) float64 {
			switch {
			case i == 2000:
				return absurd
			case i >= 3400 && i < 3430:
				return 3 * v
			default:
				return v
			}
		})
		if len(found) == 0 || found[len(found)-1] < 3400 {
			t.Errorf("after %v at 2000 the threefold level at 3400 was not found: %v", absurd, found)
		}
	}
}

func TestConstantSeriesRaisesNoAlarm(t *testing.T) {
	for _, v := range []float64{0, 1, -5, 1e12} {
		s := rarity.New(false, time.Minute)
		for i := range 5000 {
			if j := s.Next(at(i), v); j.Score >= rarity.Threshold {
				t.Fatalf("constant %v: score %v at %d", v, j.Score, i)
			}
		}
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	s := rarity.New(false, time.Minute)
	i := 0
	if n := testing.AllocsPerRun(1000, func() { s.Next(at(i), float64(i%7)); i++ }); n != 0 {
		t.Errorf("%v allocations a sample", n)
	}
}

func BenchmarkDetector(b *testing.B) {
	s := rarity.New(false, 5*time.Minute)
	r := rand.New(rand.NewPCG(1, 1))
	values := make([]float64, 1<<13)
	times := make([]time.Time, len(values))
	for i := range values {
		values[i], times[i] = daily(r, i), at(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Next(times[i%len(times)], values[i%len(values)])
	}
}

func TestDetectorSize(t *testing.T) {
	if n := unsafe.Sizeof(rarity.Detector{}); n > 3<<10 {
		t.Errorf("a Detector takes %d bytes, want at most 3 KiB", n)
	}
}
