// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// requests is a span source that sees ten requests a second.
type requests struct{ ended uint64 }

func (r *requests) Observe(time.Time) runtimeinfo.SpanActivity {
	r.ended += 10
	return runtimeinfo.SpanActivity{
		Started: r.ended, Ended: r.ended,
		Groups: []runtimeinfo.SpanGroup{{Name: "GET /", Ended: r.ended}},
	}
}

// With spans there is an account of the capacity, without them none. At one level
// of load it is no estimate.
func TestCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen, stop := run(t, engine.WithSpans(&requests{}))
		time.Sleep(25 * time.Second)
		s := seen.Snapshot()
		if v, ok := s.Number("gmpulse.capacity.saturation"); !ok || v < 0 {
			t.Errorf("saturation %v, %v", v, ok)
		}
		if v, ok := s.Number("gmpulse.capacity.confidence"); !ok || v != 0 {
			t.Errorf("confidence %v, %v: want 0 while learning", v, ok)
		}
		if v, ok := s.Number("gmpulse.capacity.limit"); ok {
			t.Errorf("limit %v after two windows", v)
		}
		states := map[string]float64{}
		for p := range s.Points() {
			if p.Metric.Name == "gmpulse.capacity.state" {
				states[p.Labels[0]] = p.Number
			}
		}
		if len(states) != 4 || states["learning"] != 1 || states["known"] != 0 {
			t.Errorf("states %v", states)
		}
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		blind, stop := run(t)
		time.Sleep(25 * time.Second)
		for p := range blind.Snapshot().Points() {
			if p.Metric.Subsystem == runtimeinfo.SubsystemCapacity {
				t.Errorf("%s = %v without a span source", p.Metric.Key(), p.Number)
			}
		}
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}
