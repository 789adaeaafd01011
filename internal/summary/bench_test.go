// SPDX-License-Identifier: Apache-2.0

package summary_test

import (
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/internal/summary"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// liveTicks returns snapshots of this process with the metrics of all parts and ten groups of spans.
func liveTicks(tb testing.TB, n int) (all []*runtimeinfo.Snapshot) {
	tb.Helper()
	p := catalogue.NewProcess(exporttest.Snapshot().Resource...)
	for range n {
		all = append(all, p.Sample(sampler.Tick{Time: time.Now()}, func(d *catalogue.Draft) {
			for i := range 10 {
				d.Set("gmpulse.root_span.active", float64(i), "GET /"+string(rune('a'+i)))
			}
		}))
	}
	return all
}

// BenchmarkAdd measures what an interval of an exporter costs at each tick.
func BenchmarkAdd(b *testing.B) {
	all := liveTicks(b, 10)
	var sum summary.Summary
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%10 == 0 {
			sum.Reset()
		}
		sum.Add(all[i%10])
	}
}

// BenchmarkSnapshot measures what an exporter's snapshot of ten ticks costs.
func BenchmarkSnapshot(b *testing.B) {
	all := liveTicks(b, 10)
	var sum summary.Summary
	for _, s := range all {
		sum.Add(s)
	}
	var one, ten codec.Encoder
	plain, err1 := one.Append(nil, all[9])
	ranged, err2 := ten.Append(nil, sum.Snapshot())
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	b.ReportAllocs()
	for b.Loop() {
		sum.Snapshot()
	}
	b.ReportMetric(float64(len(plain)), "encoded-tick-B")
	b.ReportMetric(float64(len(ranged)), "encoded-summary-B")
}
