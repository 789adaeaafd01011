// SPDX-License-Identifier: Apache-2.0

package profiler_test

import (
	"context"
	"fmt"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
	"github.com/gmpulse/gmpulse/tracectx"
)

// An engine runs the Profiler and publishes the CPU time by root span. Package agent does this with
// GMPULSE_CPU_PROFILE.
func Example() {
	p, err := profiler.New(profiler.Config{RootLabel: tracectx.RootLabel})
	if err != nil {
		panic(err)
	}
	e, err := engine.New(engine.WithAnalyzer("profiler", p), engine.WithBackground("profiler", p.Run))
	if err != nil {
		panic(err)
	}
	if err := e.Start(context.Background()); err != nil {
		panic(err)
	}
	c := p.Config()
	fmt.Printf("CPU profiles of %v in every %v\n", c.For, c.Every)
	for _, r := range p.Usage(time.Now().Add(-5*time.Minute), time.Now()).Roots { // none yet
		fmt.Printf("%s: %.1f s ± %.1f s\n", r.Root, r.Seconds, r.Error)
	}
	if err := e.Stop(context.Background()); err != nil {
		panic(err)
	}
	// Output: CPU profiles of 1s in every 30s
}
