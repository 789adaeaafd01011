// SPDX-License-Identifier: Apache-2.0

package evidence

import "github.com/gmpulse/gmpulse/runtimeinfo"

//nolint:gochecknoglobals // the metrics of this package, which are constant
var (
	// Shows why an incident has no bundle.
	captures = &runtimeinfo.Metric{Name: "gmpulse.captures", Unit: "{bundle}", Kind: runtimeinfo.KindCounter, FixedLabels: true, Subsystem: runtimeinfo.SubsystemAgent, Help: "Bundles of evidence of incidents, by outcome: made, failed, skipped because of a limit, or refused because memory was short. Refused also counts profiles within bundles.", Keys: []string{"outcome"}}
)

// stats has cumulative numbers of bundles.
type stats struct {
	made    uint64
	failed  uint64 // could not be created
	skipped uint64 // not created because of the cooldown, the limit per hour or another capture
	refused uint64 // bundles, and profiles within bundles, not created because memory was short
}

// Metrics returns the metrics that Analyze adds.
func (*Store) Metrics() []*runtimeinfo.Metric { return []*runtimeinfo.Metric{captures} }

// Analyze adds the numbers of bundles to a snapshot.
func (s *Store) Analyze(d *runtimeinfo.Draft) {
	s.mu.Lock()
	n := s.stats
	s.mu.Unlock()
	d.Add(captures, float64(n.made), "made")
	d.Add(captures, float64(n.failed), "failed")
	d.Add(captures, float64(n.skipped), "skipped")
	d.Add(captures, float64(n.refused), "refused")
}
