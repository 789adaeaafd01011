// SPDX-License-Identifier: Apache-2.0

package capacity_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/capacity"
	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/hostfield"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// ticks returns an estimator with a full history. Each call of next makes a new host pass,
// ten seconds later, with ten kinds of requests.
func ticks() (observe, next func()) {
	e := capacity.New(nil)
	spans := &capacity.Spans{}
	for i := range 10 {
		spans.Groups = append(spans.Groups, runtimeinfo.SpanGroup{Name: "GET /" + strconv.Itoa(i), Active: 1})
	}
	samples := [2]*host.Sample{host.NewSample(), host.NewSample()}
	t := &capacity.Input{Time: time.Unix(1_800_000_000, 0), Spans: spans}
	var n int
	var cpu float64
	next = func() {
		n++
		t.Time = t.Time.Add(10 * time.Second)
		load := uint64(20 + n*37%200)
		for i := range spans.Groups {
			spans.Groups[i].Ended += load
			spans.Ended += load
		}
		cpu += float64(load) * 0.01
		t.Host = samples[n%2]
		t.Host.Set(hostfield.ProcessCPUUser, cpu)
		t.Host.Set(hostfield.ProcessCPUSystem, 0)
	}
	observe = func() { e.Observe(t, 2) }
	for range 500 {
		next()
		observe()
	}
	return observe, next
}

func BenchmarkObserve(b *testing.B) {
	b.Run("tick", func(b *testing.B) {
		observe, _ := ticks()
		b.ReportAllocs()
		for b.Loop() {
			observe()
		}
	})
	b.Run("window", func(b *testing.B) {
		observe, next := ticks()
		b.ReportAllocs()
		for b.Loop() {
			next()
			observe()
		}
	})
}
