// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/tracectx"
)

// The buckets are the same as in package tracectx.
func TestLowerBound(t *testing.T) {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		t.Fatal(err)
	}
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p)).Tracer("")
	now := time.Now()
	for _, d := range []time.Duration{0, 300 * time.Hour} {
		_, span := tracer.Start(t.Context(), "GET /", trace.WithTimestamp(now))
		span.End(trace.WithTimestamp(now.Add(d)))
	}
	bounds := p.Observe(time.Now()).Groups[0].Durations.Bounds
	if len(bounds) < 150 {
		t.Fatalf("%d bounds", len(bounds))
	}
	before := 0.0
	for _, b := range bounds {
		us := math.Round(b * 1e6)
		if got := lowerBound(us); got != before {
			t.Errorf("bucket up to %v: from %v, want %v", us, got, before)
		}
		before = us
	}
}

// Quantiles differ from the quantiles of all durations by less than a bucket, a sixth at most, and the number below
// a quantile is its share.
func TestQuantiles(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	bounds := []float64{}
	for i := range 120 {
		bounds = append(bounds, float64(5+i%4)*math.Exp2(float64(i/4)))
	}
	h, all := histogram{}, []float64{}
	for range 100_000 {
		d := 20_000 * math.Exp(0.5*r.NormFloat64())
		all = append(all, d)
		h[bounds[slices.IndexFunc(bounds, func(b float64) bool { return d < b })]]++
	}
	slices.Sort(all)
	for _, p := range []float64{0.01, 0.5, 0.9, 0.99} {
		q, _ := h.quantile(p)
		if want := all[int(p*float64(len(all)))]; math.Abs(q/want-1) > 0.03 {
			t.Errorf("p%v: %v, want %v", 100*p, q, want)
		}
		if n := h.below(q); math.Abs(n/h.count()-p) > 1e-9 {
			t.Errorf("p%v: %v below", 100*p, n/h.count())
		}
	}
}

// Durations that all lie in one bucket have a quantile as uncertain as the bucket is wide, and less data than
// ten durations beyond the quantile is too little.
func TestQuantileOfABucket(t *testing.T) {
	blocks := slices.Repeat([]histogram{{1280: 100}}, 20)
	e := quantileOf(blocks, 0.5, 4)
	if e.Value < 0.001024 || e.Value > 0.00128 || e.Error < 0.00007 || e.Freedom != 4 {
		t.Errorf("%+v", e)
	}
	if e := quantileOf(slices.Repeat([]histogram{{1280: 45}}, 20), 0.99, 4); e.Freedom != 0 {
		t.Errorf("of 900 durations %+v", e)
	}
}

func TestParseHistogram(t *testing.T) {
	h := parseHistogram("1280:7 x 1536:2 -1:3 5: :7 9:NaN 9:Inf Inf:1 1e400:1")
	if len(h) != 2 || h[1280] != 7 || h[1536] != 2 {
		t.Errorf("%v", h)
	}
}

// Each key is a metric or a field of a record.
func TestKeysExist(t *testing.T) {
	known := map[string]bool{keyActive: true, keyInterval: true}
	for _, m := range catalogue.All() {
		known[m.Key()] = true
	}
	for _, key := range keys() {
		if !known[strings.TrimSuffix(key, "_mean")] {
			t.Errorf("there is no metric %s", key)
		}
	}
}
