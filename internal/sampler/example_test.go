// SPDX-License-Identifier: Apache-2.0

package sampler_test

import (
	"fmt"
	"time"

	"github.com/gmpulse/gmpulse/internal/sampler"
)

// Take one sample.
func ExampleReader() {
	r := sampler.NewReader(sampler.Config{})
	r.Read(sampler.Tick{Time: time.Now()})
	n, ok := r.Snapshot().Number("gmpulse.goroutine.user")
	fmt.Println(n > 0, ok)
	// Output: true true
}
