// SPDX-License-Identifier: Apache-2.0

package profiler_test

import (
	"context"
	"fmt"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

func Example() {
	p, err := profiler.New(profiler.Config{
		NoCPU: true,
		Sink:  func(kind string, _, _ time.Time, _ []byte) { fmt.Println("a profile:", kind) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second/2)
	defer cancel()
	p.Run(ctx) // an engine does this: engine.WithBackground("profiler", p.Run)
	// Output:
	// a profile: heap
	// a profile: goroutine
}
