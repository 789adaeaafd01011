// SPDX-License-Identifier: Apache-2.0

package capacity_test

import (
	"fmt"
	"time"

	"github.com/gmpulse/gmpulse/internal/capacity"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Each request takes 2 ms of CPU, the background takes 0.1 CPUs, and the load rises from 100
// to 300 requests per second.
func ExampleEstimator_Observe() {
	e := capacity.New(nil)
	now := time.Now()
	var c *capacity.Estimate
	var requests, cpu float64
	for rate := 100.0; rate <= 300; rate += 10 {
		now = now.Add(10 * time.Second)
		requests += 10 * rate
		cpu += 10 * (0.1 + rate*0.002)
		c = e.Observe(snapshotOf(now, map[string]float64{
			"gmpulse.host.age":      0, // there was a host pass
			"process.cpu.time.user": cpu, "process.cpu.time.system": 0,
			"gmpulse.root_spans.ended": requests,
		}, []runtimeinfo.SpanGroup{{Name: "GET /", Ended: uint64(requests)}}), 2)
	}
	fmt.Printf("%s: %.1f ms of CPU per request, %.2f CPUs beside\n", c.State, c.CPUPerRequest*1000, c.Background)
	fmt.Printf("saturation %.2f, limit %.0f requests/s, headroom %.0f\n", c.Saturation, c.Limit, c.Headroom)
	// Output:
	// known: 2.0 ms of CPU per request, 0.10 CPUs beside
	// saturation 0.35, limit 950 requests/s, headroom 450
}
