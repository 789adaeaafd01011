// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// protobuf returns h as Prometheus receives it in protobuf.
func protobuf(tb testing.TB, e *prom.Exporter, h *runtimeinfo.Histogram) *dto.Histogram {
	tb.Helper()
	m := &runtimeinfo.Metric{Name: "job.duration", Unit: "s", Kind: runtimeinfo.KindHistogram, Help: "Duration of jobs."}
	export(tb, e, runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: m, Histogram: h}))
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(tb.Context(), "GET", "/metrics", nil)
	r.Header.Set("Accept", acceptProtobuf)
	e.Handler().ServeHTTP(w, r)
	dec := expfmt.NewDecoder(w.Body, expfmt.ResponseFormat(w.Header()))
	var f dto.MetricFamily
	if err := dec.Decode(&f); err != nil || len(f.GetMetric()) != 1 {
		tb.Fatalf("%v, %d metrics", err, len(f.GetMetric()))
	}
	if err := dec.Decode(new(dto.MetricFamily)); !errors.Is(err, io.EOF) {
		tb.Fatal(err)
	}
	return f.GetMetric()[0].GetHistogram()
}

// bucket is a native bucket: count observations in (lower, upper].
type bucket struct {
	lower, upper float64
	count        uint64
}

// buckets returns the native buckets of h, the zero bucket first.
func buckets(h *dto.Histogram) []bucket {
	all := []bucket{{0, h.GetZeroThreshold(), h.GetZeroCount()}}
	bound := func(i int) float64 { return math.Pow(2, float64(i)/math.Pow(2, float64(h.GetSchema()))) }
	i, count, delta := 0, int64(0), 0
	for _, s := range h.GetPositiveSpan() {
		i += int(s.GetOffset())
		for range s.GetLength() {
			count += h.GetPositiveDelta()[delta]
			delta++
			all = append(all, bucket{bound(i - 1), bound(i), uint64(count)})
			i++
		}
	}
	return all
}

// quantile interpolates linearly within the bucket that has the quantile.
func quantile(q float64, all []bucket) float64 {
	var n uint64
	for _, b := range all {
		n += b.count
	}
	rank := q * float64(n)
	for _, b := range all {
		if b.count > 0 && rank <= float64(b.count) {
			return b.lower + (b.upper-b.lower)*rank/float64(b.count)
		}
		rank -= float64(b.count)
	}
	return math.NaN()
}

// explicit returns the buckets of h as histogram_quantile reads them: values in the last one
// are equal to its lower bound.
func explicit(h *runtimeinfo.Histogram) []bucket {
	all, lower := make([]bucket, len(h.Counts)), 0.0
	for i, n := range h.Counts {
		upper := lower
		if i < len(h.Bounds) {
			upper = h.Bounds[i]
		}
		all[i] = bucket{lower, upper, n}
		lower = upper
	}
	return all
}

// allBounds are bounds of different kinds, with the schema that suits them.
func allBounds() map[string]struct {
	bounds []float64
	schema int32
} {
	return map[string]struct {
		bounds []float64
		schema int32
	}{
		"runtime":   {[]float64{16384e-9, 65536e-9, 262144e-9, 1048576e-9, 4194304e-9, 16777216e-9, 67108864e-9, 268435456e-9, 1073741824e-9}, 2},
		"client":    {[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}, 2},
		"zero":      {[]float64{0, 0.5, 1, 2, 4, 8, 16, 1024}, 2},
		"linear":    {[]float64{100, 110, 120, 130, 140}, 2},
		"one":       {[]float64{3}, 2},
		"far apart": {[]float64{1e-9, 1, 1e9}, 1},
		"extreme":   {[]float64{1e-200, 1, 1e200}, -4},
	}
}

// The native histogram has every observation once, and its quantiles are in the same native
// bucket as the quantiles of the explicit buckets.
func TestNativeHistogramAgreesWithTheExplicitBuckets(t *testing.T) {
	random, e := rand.New(rand.NewPCG(1, 2)), newExporter(t, prom.Config{})
	for name, c := range allBounds() {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				h := &runtimeinfo.Histogram{Bounds: c.bounds, Counts: make([]uint64, len(c.bounds)+1), Sum: 1}
				for i := range h.Counts {
					h.Counts[i] = random.Uint64N(1 << random.IntN(30))
				}
				h.Counts[1] += 1000
				checkNative(t, h, protobuf(t, e, h), c.schema)
			}
		})
	}
}

func checkNative(t *testing.T, h *runtimeinfo.Histogram, got *dto.Histogram, schema int32) {
	t.Helper()
	native := buckets(got)
	var n uint64
	for _, b := range native {
		n += b.count
	}
	if n != h.Count() || got.GetSampleCount() != n || len(got.GetBucket()) < len(h.Bounds) || got.GetSchema() != schema || len(native) > 170 {
		t.Errorf("%d observations in %d native buckets of schema %d and %d explicit ones, want %d in schema %d",
			n, len(native), got.GetSchema(), len(got.GetBucket()), h.Count(), schema)
	}
	least := h.Bounds[0]
	if least == 0 {
		least = h.Bounds[1]
	}
	factor := math.Pow(2, math.Pow(2, -float64(schema)))
	for _, q := range []float64{0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99} {
		// Whole observations: rank and count are rounded by some, see below.
		want, at := quantile(q, explicit(h)), quantile(q, native)
		slack := 40 / float64(h.Count())
		low, high := quantile(max(0, q-slack), explicit(h)), quantile(min(1, q+slack), explicit(h))
		if at < low/factor-least || at > high*factor+least || want > 2*least && at > least && (at < low/factor || at > high*factor) {
			t.Errorf("q%v is %v, want %v (%v to %v) within a factor of %v; counts %d", q, at, want, low, high, factor, h.Counts)
		}
	}
}

// While the counts of a histogram increase, no native bucket decreases: Prometheus takes that
// for a restart of the process.
func TestNativeBucketsNeverDecrease(t *testing.T) {
	random, e := rand.New(rand.NewPCG(3, 4)), newExporter(t, prom.Config{})
	for name, c := range allBounds() {
		t.Run(name, func(t *testing.T) {
			h := &runtimeinfo.Histogram{Bounds: c.bounds, Counts: make([]uint64, len(c.bounds)+1), Sum: 1}
			before := map[float64]uint64{}
			for range 300 {
				h.Counts[random.IntN(len(h.Counts))] += random.Uint64N(4)
				now := map[float64]uint64{}
				for _, b := range buckets(protobuf(t, e, h)) {
					now[b.upper] += b.count
				}
				for upper, n := range before {
					if now[upper] < n {
						t.Fatalf("the bucket up to %v went from %d to %d", upper, n, now[upper])
					}
				}
				before = now
			}
		})
	}
}

// A histogram that has no native form is served with its explicit buckets.
func TestHistogramWithoutNativeForm(t *testing.T) {
	e := newExporter(t, prom.Config{})
	for name, bounds := range map[string][]float64{
		"none": nil, "negative": {-1, 1}, "infinite": {1, math.Inf(1)}, "zero": {0}, "descending": {2, 1}, "not a number": {math.NaN(), 1},
	} {
		h := &runtimeinfo.Histogram{Bounds: bounds, Counts: make([]uint64, len(bounds)+1), Sum: 1}
		h.Counts[0] = 7
		if got := protobuf(t, e, h); got.Schema != nil || got.GetSampleCount() != 7 {
			t.Errorf("%s: schema %v, %d observations", name, got.Schema, got.GetSampleCount())
		}
	}
}
