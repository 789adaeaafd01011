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

// A test of an analyzer builds a snapshot of its metrics, as the engine does at every tick.
func ExampleNewBuilder() {
	requests := &runtimeinfo.Metric{Name: "app.requests", Unit: "{request}", Kind: runtimeinfo.KindCounter, Keys: []string{"app.route"}}
	c, err := runtimeinfo.NewCatalogue(requests)
	if err != nil {
		fmt.Println(err)
		return
	}
	b := runtimeinfo.NewBuilder(c, runtimeinfo.Snapshot{Seq: 1})
	d := b.Draft()
	d.Add(requests, 42, "GET /cart") // in a test: analyzer.Analyze(d)
	b.Merge(d)
	for p := range b.Snapshot().Points() {
		fmt.Println(p.Metric.Name, p.Labels, p.Number)
	}
	// Output: app.requests [GET /cart] 42
}
