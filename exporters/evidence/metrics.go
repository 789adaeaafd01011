// SPDX-License-Identifier: Apache-2.0

package evidence

import "github.com/gmpulse/gmpulse/runtimeinfo"

//nolint:gochecknoglobals // the metrics of this package, which are constant
var (
	// Tells why a bundle is missing when it is wanted: the disk, or the limit for an hour.
	captures = &runtimeinfo.Metric{Name: "gmpulse.captures", Unit: "{bundle}", Kind: runtimeinfo.KindCounter, Subsystem: runtimeinfo.SubsystemAgent, Help: "Bundles of evidence of incidents, by outcome: made, failed, skipped because of a bound, or refused because memory was short (also a profile within a bundle).", Keys: []string{"outcome"}}
)

// Stats counts bundles, cumulative.
type Stats struct {
	// Made were kept, Failed could not be, Skipped were not because of a bound.
	Made, Failed, Skipped uint64
	// Refused are bundles, and profiles within bundles, that were not taken because
	// the memory was short.
	Refused uint64
}

// Metrics returns the metrics that Analyze adds.
func (*Store) Metrics() []*runtimeinfo.Metric { return []*runtimeinfo.Metric{captures} }

// Analyze adds the numbers of bundles to a snapshot.
func (s *Store) Analyze(d *runtimeinfo.Draft) {
	c := s.Stats()
	d.Add(captures, float64(c.Made), "made")
	d.Add(captures, float64(c.Failed), "failed")
	d.Add(captures, float64(c.Skipped), "skipped")
	d.Add(captures, float64(c.Refused), "refused")
}
