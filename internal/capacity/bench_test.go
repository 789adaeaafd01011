// SPDX-License-Identifier: Apache-2.0

package capacity_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/capacity"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// ticks returns observe of an estimator with a full history. Each call of next returns a snapshot with
// a new host pass, ten seconds later, with ten kinds of requests.
func ticks() (observe func(*runtimeinfo.Snapshot), next func() *runtimeinfo.Snapshot) {
	e := capacity.New(nil)
	var n int
	var cpu float64
	var ended uint64
	next = func() *runtimeinfo.Snapshot {
		n++
		load := uint64(20 + n*37%200)
		ended += load
		cpu += float64(load) * 0.01
		var groups []runtimeinfo.SpanGroup
		for i := range 10 {
			groups = append(groups, runtimeinfo.SpanGroup{Name: "GET /" + strconv.Itoa(i), Active: 1, Ended: ended})
		}
		return snapshotOf(time.Unix(1_800_000_000, 0).Add(time.Duration(n)*10*time.Second), map[string]float64{
			"gmpulse.host.age": 0, "process.cpu.time.user": cpu, "process.cpu.time.system": 0, "gmpulse.root_spans.ended": float64(10 * ended),
		}, groups)
	}
	observe = func(s *runtimeinfo.Snapshot) { e.Observe(s, 2) }
	for range 500 {
		observe(next())
	}
	return observe, next
}

func BenchmarkObserve(b *testing.B) {
	b.Run("tick", func(b *testing.B) {
		observe, next := ticks()
		s := next()
		b.ReportAllocs()
		for b.Loop() {
			observe(s)
		}
	})
	b.Run("window", func(b *testing.B) {
		observe, next := ticks()
		all := make([]*runtimeinfo.Snapshot, b.N)
		for i := range all {
			all[i] = next()
		}
		b.ReportAllocs()
		b.ResetTimer()
		for _, s := range all {
			observe(s)
		}
	})
}
