// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/tracectx"
)

// manyNames returns n root spans, each with a name of its own.
func manyNames(n int) []*fakeSpan {
	spans := make([]*fakeSpan, n)
	for i := range spans {
		spans[i] = root(uint64(i+1), 1, fmt.Sprintf("GET /%d", i))
	}
	return spans
}

// The cost of n roots is linear in n if each has a name of its own: of the first n, whose names get
// an index each, and of the next n, for which no index is free.
func TestRootsAreLinearInNames(t *testing.T) {
	for name, limit := range map[string]func(n int) int{
		"each has an index": func(n int) int { return n },
		"none is free":      func(int) int { return 10 },
	} {
		t.Run(name, func(t *testing.T) {
			testutil.Linear(t, 100, func(n int) func() {
				spans := manyNames(n)
				return func() {
					p := newProcessor(t, tracectx.Config{MaxNames: limit(n), NoLabels: true})
					for _, s := range spans {
						p.OnStart(t.Context(), s)
						p.OnEnd(s)
					}
				}
			})
		})
	}
}

// The cost of an observation is linear in the number of names, and in the number of active roots.
func TestObserveIsLinear(t *testing.T) {
	for name, end := range map[string]bool{"names": true, "active roots": false} {
		t.Run(name, func(t *testing.T) {
			testutil.Linear(t, 100, func(n int) func() {
				p := newProcessor(t, tracectx.Config{MaxNames: n, Capacity: 2 * n, NoLabels: true})
				for _, s := range manyNames(n) {
					p.OnStart(t.Context(), s)
					if end {
						p.OnEnd(s)
					}
				}
				return func() { p.Observe(time.Now()) }
			})
		})
	}
}
