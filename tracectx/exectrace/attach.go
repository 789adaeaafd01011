// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"context"
	"runtime/trace"
)

// attachName is the type of the task by which a worker counts for a span.
const attachName = "gmpulse.attach"

// Attach makes what the calling goroutine does until detach is called count for
// the span of ctx, in execution traces: for workers of a pool that was there
// before the span, which otherwise nobody knows to work for it.
//
//	for job := range jobs {
//		detach := exectrace.Attach(job.ctx)
//		job.do()
//		detach()
//	}
//
// A worker that begins a span of its own from ctx needs no Attach. It costs
// nothing worth mentioning, and no allocation, while nobody records a trace.
func Attach(ctx context.Context) (detach func()) {
	if !trace.IsEnabled() {
		return noop
	}
	_, task := trace.NewTask(ctx, attachName)
	return task.End
}

func noop() {}
