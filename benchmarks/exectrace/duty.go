// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// measureDutyCycle prints which share of a core the analysis takes if the recorder of a
// service with 2,000 requests a second is on for two seconds of each minute.
func measureDutyCycle(s sizes) error {
	const perSecond = 2000
	const cycle, on = time.Minute, 2 * time.Second
	tracer, err := newTracer()
	if err != nil {
		return err
	}
	steady, err := newService(tracer, 0)
	if err != nil {
		return err
	}
	steady.pace(perSecond, s.steady/4) // warm up
	recorded, err := record(func() { steady.pace(perSecond, s.steady) })
	if err != nil {
		return err
	}
	c, err := analyze(recorded, s.repeats)
	if err != nil {
		return err
	}
	scale := on.Seconds() / s.steady.Seconds()
	analysis := c.cpu.Seconds() * scale / cycle.Seconds()
	fmt.Printf("%d requests a second for %v: %s, %d events, analysed in %v of CPU time.\n", perSecond, s.steady, mb(uint64(len(recorded))), c.window.Events, c.cpu.Round(time.Millisecond))
	fmt.Printf("With %v of recording in each %v, the analysis takes %.3f %% of a core.\n", on, cycle, 100*analysis)
	const budget = 0.001
	if s.repeats > 1 && analysis > budget {
		return fmt.Errorf("the analysis takes more than %.1f %% of a core", 100*budget)
	}
	return nil
}
