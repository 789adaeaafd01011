// SPDX-License-Identifier: Apache-2.0

package sampler_test

import (
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// After garbage collections and waits, the counters and histograms that grew have exemplars.
func TestExemplarsOfGrowingMetrics(t *testing.T) {
	r := sampler.NewReader(sampler.Config{})
	span := &runtimeinfo.Span{TraceID: [16]byte{2}, SpanID: [8]byte{2}, Name: "oldest", Sampled: true}
	read := func(span *runtimeinfo.Span) *runtimeinfo.Snapshot {
		runtime.GC()
		for range 100 {
			runtime.Gosched()
		}
		r.Read(sampler.Tick{Time: time.Now(), Span: span})
		return r.Snapshot()
	}
	if s := read(span); counterExemplars(s) != 0 {
		t.Error("there are exemplars of observations from before the first tick")
	}
	read(span)
	before := read(nil)
	s := read(span)
	checkExemplars(t, s)
	if n, h := counterExemplars(s), s.Histogram("go.memory.gc.pause.duration"); n < 5 || len(h.Exemplars) != len(h.Counts) {
		t.Errorf("%d counters with exemplars, %d exemplars of the pauses", n, len(h.Exemplars))
	}
	if x := exemplar(s, "go.memory.gc.cycles"); x == nil || x.Value < 1 || !x.Time.Equal(s.Time) || x.TraceID != [16]byte{2} {
		t.Errorf("%+v", x)
	}
	// Without a span, the last exemplar remains.
	if x := exemplar(before, "go.memory.gc.cycles"); x == nil || !x.Time.Before(before.Time) {
		t.Errorf("%+v", x)
	}
	if x := exemplar(s, "gmpulse.agent.ticks"); x != nil {
		t.Errorf("the counter of the agent's ticks has an exemplar: %+v", x)
	}
}

func exemplar(s *runtimeinfo.Snapshot, key string) *runtimeinfo.Exemplar {
	for p := range s.Points() {
		if p.Metric.Key() == key {
			return p.Exemplar
		}
	}
	return nil
}

func counterExemplars(s *runtimeinfo.Snapshot) (n int) {
	for p := range s.Points() {
		if p.Exemplar != nil {
			n++
		}
	}
	return n
}

// checkExemplars fails unless each value is in its bucket and no gauge has an exemplar.
func checkExemplars(t *testing.T, s *runtimeinfo.Snapshot) {
	t.Helper()
	for p := range s.Points() {
		if p.Exemplar != nil && p.Metric.Kind != runtimeinfo.KindCounter {
			t.Errorf("%s is a %v and has an exemplar", p.Metric.Key(), p.Metric.Kind)
		}
		if p.Histogram == nil {
			continue
		}
		low := math.Inf(-1)
		for i, x := range p.Histogram.Exemplars {
			high := math.Inf(1)
			if i < len(p.Histogram.Bounds) {
				high = p.Histogram.Bounds[i]
			}
			if x != nil && (x.Value <= low || x.Value > high || p.Histogram.Counts[i] == 0 || x.Time.After(s.Time)) {
				t.Errorf("%s: exemplar %v in the bucket from %v to %v, which has %d", p.Metric.Key(), x.Value, low, high, p.Histogram.Counts[i])
			}
			low = high
		}
	}
}

func TestLaterSnapshotsDoNotChangeExemplars(t *testing.T) {
	r := sampler.NewReader(sampler.Config{})
	span := runtimeinfo.Span{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Sampled: true}
	var all []*runtimeinfo.Snapshot
	for i := range 5 {
		span.SpanID[0] = byte(i + 1)
		runtime.GC()
		r.Read(sampler.Tick{Time: time.Now(), Span: &span})
		all = append(all, r.Snapshot())
	}
	for i, s := range all[1:] {
		if x := exemplar(s, "go.memory.gc.cycles"); x.SpanID[0] != byte(i+2) {
			t.Errorf("snapshot %d has the exemplar of span %d", i+1, x.SpanID[0])
		}
	}
}

func TestExemplarsAllocateLittle(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	r := sampler.NewReader(sampler.Config{})
	span := &runtimeinfo.Span{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Sampled: true}
	tick := sampler.Tick{Time: time.Now(), Span: span}
	n := testing.AllocsPerRun(100, func() {
		r.Read(tick)
		r.Snapshot()
	})
	t.Logf("%v allocations", n)
	if n > 6+3+2*12 { // the snapshot, the histograms, and one for each counter and each bucket that grew
		t.Errorf("%v allocations with exemplars", n)
	}
}
