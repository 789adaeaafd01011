// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"testing"
	"testing/synctest"
)

// frameworkContext is a context of another type than those of package context, as a
// fasthttp request is.
type frameworkContext struct {
	context.Context
	done  chan struct{}
	calls int // without a lock: the test fails under the race detector if two goroutines call Done
}

func (c *frameworkContext) Done() <-chan struct{} {
	c.calls++
	return c.done
}

// A goroutine that watches the context of a framework may outlive the request. It races
// with the shutdown of fasthttp, which sets its channel to nil.
func TestLimiterStartsNoGoroutineForForeignContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := &frameworkContext{Context: t.Context(), done: make(chan struct{})}
		if !make(limiter, 1).run(ctx, synctest.Wait) {
			t.Fatal("a free limiter refused a step")
		}
		if ctx.calls != 1 {
			t.Errorf("Done was called %d times, want 1", ctx.calls)
		}
	})
}
