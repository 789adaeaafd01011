// SPDX-License-Identifier: Apache-2.0

package capacity_test

import (
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/capacity"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/hostfield"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// snapshot returns a snapshot with an estimate, of a process that has made a second host
// pass. Without spans there is none.
func snapshot(spans bool) *runtimeinfo.Snapshot {
	p, e := catalogue.NewProcess(), capacity.New(nil)
	now := time.Now()
	var s *runtimeinfo.Snapshot
	for i := range 25 {
		pass := i / 10 * 10
		h := host.NewSample()
		h.Set(hostfield.ProcessCPUUser, float64(pass))
		h.Set(hostfield.ProcessCPUSystem, 0)
		s = p.Sample(sampler.Tick{Time: now.Add(time.Duration(i) * time.Second), Host: h}, func(d *catalogue.Draft) {
			d.Set("gmpulse.host.age", float64(i-pass))
			if spans {
				d.Set("gmpulse.root_spans.ended", float64(10*i))
				d.SpanGroups = []runtimeinfo.SpanGroup{{Name: "GET /", Ended: uint64(10 * i)}}
			}
		}, func(d *catalogue.Draft) { e.Analyze(d.Draft) })
	}
	return s
}

func TestAnalyze(t *testing.T) {
	s := snapshot(true)
	if v, ok := s.Number("gmpulse.capacity.saturation"); !ok || v <= 0 {
		t.Errorf("saturation %v, %v", v, ok)
	}
	if v, ok := s.Number("gmpulse.capacity.confidence"); !ok || v != 0 {
		t.Errorf("confidence %v, %v: want 0 while learning", v, ok)
	}
	if v, ok := s.Number("gmpulse.capacity.limit"); ok {
		t.Errorf("limit %v after two windows", v)
	}
	states := map[string]float64{}
	for p := range s.Series("gmpulse.capacity.state") {
		states[p.Labels[0]] = p.Number
	}
	if len(states) != 4 || states["learning"] != 1 || states["known"] != 0 {
		t.Errorf("states %v", states)
	}
	for p := range snapshot(false).Points() {
		if p.Metric.Subsystem == runtimeinfo.SubsystemCapacity {
			t.Errorf("%s = %v without spans", p.Metric.Key(), p.Number)
		}
	}
}
