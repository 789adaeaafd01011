// SPDX-License-Identifier: Apache-2.0

package runtimeinfo_test

import (
	"fmt"

	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Number returns a value by the key of its metric.
func ExampleSnapshot_Number() {
	for _, m := range catalogue.All() {
		if m.Key() == "gmpulse.goroutine.user" {
			s := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: m, Number: 42})
			n, ok := s.Number("gmpulse.goroutine.user")
			fmt.Println(n, m.Unit, ok)
		}
	}
	// Output: 42 {goroutine} true
}
