// SPDX-License-Identifier: Apache-2.0

package abtest_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gmpulse/gmpulse/internal/abtest"
)

// run returns blocks of a service: cost per request 1 with multiplicative AR(1) noise of the given
// standard deviation and correlation between consecutive blocks, and a Poisson-like number of requests.
func run(r *rand.Rand, blocks int, cost, deviation, correlation float64) []abtest.Block {
	all := make([]abtest.Block, blocks)
	noise := r.NormFloat64()
	for i := range all {
		noise = correlation*noise + math.Sqrt(1-correlation*correlation)*r.NormFloat64()
		x := math.Round(1000 + 30*r.NormFloat64())
		all[i] = abtest.Block{Y: cost * x * (1 + deviation*noise), X: x}
	}
	return all
}

// rates compares pairs of runs and returns how often the interval has the true change, how often it
// excludes 0, and how often it lies above 5 %.
func rates(blocks, waves int, change, deviation, correlation float64) (covers, significant, regression float64) {
	const pairs = 1000
	r := rand.New(rand.NewPCG(uint64(blocks), uint64(1000*correlation)))
	for range pairs {
		e := abtest.Relative(
			abtest.Ratio(run(r, blocks, 1, deviation, correlation), waves),
			abtest.Ratio(run(r, blocks, 1+change, deviation, correlation), waves))
		if e.Low <= change && change <= e.High {
			covers++
		}
		if e.Low > 0 || e.High < 0 {
			significant++
		}
		if e.Low > 0.05 {
			regression++
		}
	}
	return covers / pairs, significant / pairs, regression / pairs
}

// The interval has the true change in about 95 of 100 comparisons, also with noise that lasts longer
// than a block. Treating blocks as independent would miss it in up to half of them.
func TestCoverage(t *testing.T) {
	for _, c := range []struct {
		blocks, waves int
		correlation   float64
		least         float64
	}{
		{9, 4, 0, 0.93},      // ten-second records of two minutes
		{9, 4, 0.3, 0.90},    // noise that lasts for eight seconds
		{90, 4, 0, 0.93},     // one-second records of two minutes
		{90, 4, 0.5, 0.93},   //
		{90, 4, 0.8, 0.92},   // noise that lasts for five seconds
		{600, 30, 0.8, 0.93}, // ten minutes
	} {
		covers, _, _ := rates(c.blocks, c.waves, 0.1, 0.03, c.correlation)
		t.Logf("%d blocks, %d waves, correlation %.1f: %.1f %% cover the true change", c.blocks, c.waves, c.correlation, 100*covers)
		if covers < c.least || covers > 0.985 {
			t.Errorf("%d blocks, %d waves, correlation %.1f: %.1f %% cover the true change, want %.0f %% to 98.5 %%", c.blocks, c.waves, c.correlation, 100*covers, 100*c.least)
		}
	}
	if covers, _, _ := rates(90, 89, 0.1, 0.03, 0.8); covers > 0.75 { // all waves: as if blocks were independent
		t.Errorf("with all waves %.1f %% cover: the noise of this test is not autocorrelated", 100*covers)
	}
}

// Two minutes suffice for a regression of 10 % at a margin of 5 %, and equal services have none.
func TestPowerAndFalseAlarms(t *testing.T) {
	for _, blocks := range []int{9, 90} {
		deviation := 0.015 * math.Sqrt(float64(blocks)/9) // of a block; shorter ones vary more
		_, _, found := rates(blocks, 4, 0.10, deviation, 0.2)
		_, significant, regression := rates(blocks, 4, 0, deviation, 0.2)
		t.Logf("%d blocks: %.1f %% of the regressions found; equal services: %.1f %% differ, %.1f %% beyond the margin", blocks, 100*found, 100*significant, 100*regression)
		if found < 0.99 || significant > 0.09 || regression > 0.001 {
			t.Errorf("%d blocks: %.1f %% of the regressions found; equal services: %.1f %% differ, %.1f %% beyond the margin", blocks, 100*found, 100*significant, 100*regression)
		}
	}
}

// Of 40 quantities of equal services, Holm's correction finds a difference in about 5 of 100 comparisons,
// where the plain test finds some difference almost always.
func TestFamilyOfRows(t *testing.T) {
	const families, rows = 400, 40
	r := rand.New(rand.NewPCG(40, 1))
	var corrected, plain float64
	for range families {
		p := make([]float64, rows)
		for i := range p {
			e := abtest.Relative(abtest.Ratio(run(r, 90, 1, 0.05, 0.3), 6), abtest.Ratio(run(r, 90, 1, 0.05, 0.3), 6))
			p[i] = min(1, 2*min(e.Above(0), e.Below(0)))
		}
		if slices.Contains(abtest.Holm(p, 0.05), true) {
			corrected++
		}
		if slices.Min(p) < 0.05 {
			plain++
		}
	}
	t.Logf("some difference in %.1f %% of the families, without correction %.1f %%", 100*corrected/families, 100*plain/families)
	if corrected/families > 0.08 || plain/families < 0.7 {
		t.Errorf("some difference in %.1f %% of the families, without correction %.1f %%", 100*corrected/families, 100*plain/families)
	}
}

func TestHolm(t *testing.T) {
	for _, c := range []struct {
		p    []float64
		want []bool
	}{
		{nil, []bool{}},
		{[]float64{0.04}, []bool{true}},
		{[]float64{0.04, 0.04}, []bool{false, false}},
		{[]float64{0.04, 0.02}, []bool{true, true}},
		{[]float64{0.03, 0.01, 1, 0.02}, []bool{false, true, false, false}}, // 0.0125, then 0.0167
	} {
		if got := abtest.Holm(c.p, 0.05); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.p, got, c.want)
		}
	}
}

// The bounds of the interval and the tests agree.
func TestIntervalAndProbabilityAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	a, b := abtest.Ratio(run(r, 30, 1, 0.05, 0), 6), abtest.Ratio(run(r, 30, 1.1, 0.02, 0), 6)
	for name, e := range map[string]abtest.Effect{"relative": abtest.Relative(a, b), "difference": abtest.Difference(a, b)} {
		if !e.Known || e.Low >= e.Change || e.Change >= e.High {
			t.Errorf("%s: %+v", name, e)
		}
		for _, p := range []float64{e.Above(e.Low), e.Below(e.High)} {
			if math.Abs(p-0.025) > 1e-6 {
				t.Errorf("%s: probability %v at a bound, want 0.025", name, p)
			}
		}
		if p := e.Above(e.Change); math.Abs(p-0.5) > 1e-9 {
			t.Errorf("%s: probability %v at the estimate", name, p)
		}
	}
	// t(6) and t(8) from a table: 2.447 and 2.306. Both runs have equal errors, so Welch has 12: 2.179.
	e := abtest.Difference(abtest.Estimate{Value: 1, Error: 1, Freedom: 6}, abtest.Estimate{Value: 1, Error: 1, Freedom: 6})
	if width := e.High / math.Sqrt2; math.Abs(width-2.179) > 0.001 {
		t.Errorf("quantile %v, want 2.179", width)
	}
	e = abtest.Difference(abtest.Estimate{Error: 0, Freedom: 6}, abtest.Estimate{Error: 1, Freedom: 6})
	if math.Abs(e.High-2.447) > 0.001 {
		t.Errorf("quantile %v, want 2.447", e.High)
	}
}

func TestTooLittleData(t *testing.T) {
	few := abtest.Ratio([]abtest.Block{{1, 1}, {1, 1}}, 6)
	none := abtest.Ratio(make([]abtest.Block, 20), 6)
	r := rand.New(rand.NewPCG(1, 1))
	good := abtest.Ratio(run(r, 20, 1, 0.1, 0), 6)
	if few.Value != 1 || few.Freedom != 0 || none.Value != 0 || none.Freedom != 0 {
		t.Errorf("%+v, %+v", few, none)
	}
	for _, e := range []abtest.Effect{abtest.Relative(few, good), abtest.Relative(good, none), abtest.Relative(none, none), abtest.Difference(none, good)} {
		if e.Known || e.Above(0) != 1 || e.Below(0) != 1 {
			t.Errorf("%+v", e)
		}
	}
}

// Values that never vary differ for certain, or not at all.
func TestConstantBlocks(t *testing.T) {
	of := func(y float64) abtest.Estimate { return abtest.Ratio(slices.Repeat([]abtest.Block{{y, 1}}, 10), 6) }
	e := abtest.Relative(of(10), of(12))
	if !e.Known || math.Abs(e.Low-0.2) > 1e-9 || math.Abs(e.High-0.2) > 1e-9 || e.Above(0.1) > 1e-9 || e.Below(0.1) != 1 {
		t.Errorf("%+v", e)
	}
	if e := abtest.Relative(of(10), of(10)); e.Above(0) != 1 || e.Below(0) != 1 {
		t.Errorf("%+v", e)
	}
}

// runs returns blocks of two services at the same time. A part of the noise is common to both.
func runs(r *rand.Rand, blocks int, change, own, common, correlation float64) (before, after []abtest.Block) {
	before, after = run(r, blocks, 1, own, 0), run(r, blocks, 1+change, own, 0)
	noise := r.NormFloat64()
	for i := range before {
		noise = correlation*noise + math.Sqrt(1-correlation*correlation)*r.NormFloat64()
		before[i].Y *= math.Exp(common * noise)
		after[i].Y *= math.Exp(common * noise)
	}
	return before, after
}

// The interval of paired runs has the true change in about 95 of 100 comparisons. Noise that both runs have
// does not widen it, even if it lasts for a quarter of the runs.
func TestPaired(t *testing.T) {
	const pairs = 1000
	r := rand.New(rand.NewPCG(3, 4))
	var covers, found, alone, alarms float64
	for range pairs {
		before, after := runs(r, 45, 0.1, 0.03, 0.08, 0.9)
		e := abtest.Paired(before, after, 9)
		if e.Low <= 0.1 && 0.1 <= e.High {
			covers++
		}
		if e.Above(0.05) < 0.0018 { // with Holm's correction for seven rows
			found++
		}
		if e := abtest.Relative(abtest.Ratio(before, 4), abtest.Ratio(after, 4)); e.Above(0.05) < 0.0018 {
			alone++
		}
		before, after = runs(r, 45, 0, 0.03, 0.08, 0.9)
		if e := abtest.Paired(before, after, 9); e.Above(0) < 0.0018 {
			alarms++
		}
	}
	t.Logf("covers %.1f %%, 10 %% found in %.1f %%, without pairing in %.1f %%, equal services differ in %.1f %%", covers/10, found/10, alone/10, alarms/10)
	if covers/pairs < 0.93 || covers/pairs > 0.985 || found/pairs < 0.95 || alone > found/2 || alarms/pairs > 0.01 {
		t.Error("out of bounds")
	}
}

func TestPairedNeedsEqualBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	long, short := run(r, 20, 1, 0.1, 0), run(r, 19, 1, 0.1, 0)
	for _, e := range []abtest.Effect{abtest.Paired(long, short, 4), abtest.Paired(long[:5], short[:5], 4), abtest.Paired(make([]abtest.Block, 20), long, 4)} {
		if e.Known || e.Above(0) != 1 || e.Below(0) != 1 {
			t.Errorf("%+v", e)
		}
	}
}
