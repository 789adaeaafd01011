// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"context"
	"runtime/trace"
)

// attachName is the type of the runtime/trace task that Attach creates.
const attachName = "gmpulse.attach"

// Attach makes execution traces count what the calling goroutine does, until detach
// is called, for the span of ctx. It is for workers that existed before the span:
//
//	for job := range jobs {
//		detach := exectrace.Attach(job.ctx)
//		job.do()
//		detach()
//	}
//
// A worker that begins a span with ctx as parent needs no Attach. If no trace is being
// recorded, Attach takes a few nanoseconds and does not allocate.
func Attach(ctx context.Context) (detach func()) {
	if !trace.IsEnabled() {
		return func() {}
	}
	_, task := trace.NewTask(ctx, attachName)
	return task.End
}
