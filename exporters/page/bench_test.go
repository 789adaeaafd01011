// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// BenchmarkExport measures an Export without viewers, including packing every two
// minutes.
func BenchmarkExport(b *testing.B) {
	e := newPage(b, page.Config{})
	reader := sampler.NewReader(sampler.Config{})
	start := time.Now()
	snapshots := make([]*runtimeinfo.Snapshot, 16)
	for i := range snapshots {
		reader.Pulse(0)
		reader.Read(sampler.Tick{Time: start.Add(time.Duration(i) * time.Second)})
		snapshots[i] = reader.Snapshot()
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s := *snapshots[n%len(snapshots)]
		s.Time = start.Add(time.Duration(n) * time.Second)
		export(b, e, &s)
		n++
	}
}

// BenchmarkHistory measures a request for an hour of every column.
func BenchmarkHistory(b *testing.B) {
	e := newPage(b, page.Config{})
	reader := sampler.NewReader(sampler.Config{})
	start := time.Now()
	for n := range 3600 {
		at := start.Add(time.Duration(n) * time.Second)
		reader.Read(sampler.Tick{Time: at})
		s := *reader.Snapshot()
		s.Time = at
		export(b, e, &s)
	}
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		size = call(b, e, "api/v1/history", nil).Body.Len()
	}
	b.ReportMetric(float64(size), "B")
}
