// SPDX-License-Identifier: Apache-2.0

package sampler

import "github.com/gmpulse/gmpulse/runtimeinfo"

// How much more the process can take. Package capacity estimates it.

func capacityRows() []row {
	return in(runtimeinfo.SubsystemCapacity, []row{
		// What a request costs: a release that doubles it halves the fleet.
		{Metric{Name: "gmpulse.capacity.cpu_per_request", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "CPU time that one more request (root span) costs, on average over the present mix; absent while unknown."}, capacity(func(c *runtimeinfo.Capacity) float64 { return c.CPUPerRequest })},
		// The rest of the bill: what an instance costs before it serves anybody.
		{Metric{Name: "gmpulse.capacity.background", Unit: "{cpu}", Kind: runtimeinfo.KindGauge, Help: "CPUs in use without any request; absent while unknown."}, capacity(func(c *runtimeinfo.Capacity) float64 { return c.Background })},
		// Latency grows as 1/(1-saturation): above 0.8 a queue is never far.
		{Metric{Name: "gmpulse.capacity.saturation", Unit: "1", Kind: runtimeinfo.KindGauge, Help: "Share of the usable CPU (the least of GOMAXPROCS, affinity and quota, less what neighbours take) that is used."}, capacity(func(c *runtimeinfo.Capacity) float64 { return c.Saturation })},
		// The number to size a fleet by.
		{Metric{Name: "gmpulse.capacity.limit", Unit: "{request}/s", Kind: runtimeinfo.KindGauge, Help: "Requests (root spans) per second at which the usable CPU is used up; absent while unknown."}, capacity(func(c *runtimeinfo.Capacity) float64 { return c.Limit })},
		// The number to alert on before customers do.
		{Metric{Name: "gmpulse.capacity.headroom", Unit: "{request}/s", Kind: runtimeinfo.KindGauge, Help: "Requests (root spans) per second that may be added until 80 % of the usable CPU is used; below zero beyond it; absent while unknown."}, capacity(func(c *runtimeinfo.Capacity) float64 { return c.Headroom })},
		// An estimate that does not say how sure it is gets believed or ignored, both wrongly.
		{Metric{Name: "gmpulse.capacity.confidence", Unit: "1", Kind: runtimeinfo.KindGauge, Help: "Probability that the limit is within 15 % of the truth; below 0.5 the limit is absent."}, capacity(func(c *runtimeinfo.Capacity) float64 { return c.Confidence })},
		// Why the limit is absent.
		{Metric{Name: "gmpulse.capacity.state", Unit: "", Kind: runtimeinfo.KindGauge, Help: "1 for what is known of the capacity: learning, known, uncertain, or waiting (requests queue for something other than CPU); 0 for the rest.", Keys: []string{"state"}}, &source{series: capacityState}},
	})
}
