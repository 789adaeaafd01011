// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"runtime/trace"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// TraceLogCategory is the category of the one log entry that a local root span
// makes in an execution trace, when one is being recorded. Its message is
// the trace id (16 bytes), the span id (8 bytes) and the name, cut to 128 bytes.
// The SDK makes a task of each span but puts no id there: the entry names the next
// task of that name that begins on the same goroutine. Its children are found
// by their parent tasks.
const TraceLogCategory = "gmpulse.span"

const maxLoggedName = 128

// logRoot tells an execution trace that is being recorded which span begins: some
// 400 ns and two allocations.
func logRoot(ctx context.Context, span sdktrace.ReadOnlySpan) {
	id, name := span.SpanContext(), span.Name()
	traceID, spanID := id.TraceID(), id.SpanID()
	message := make([]byte, 0, len(traceID)+len(spanID)+maxLoggedName)
	message = append(message, traceID[:]...)
	message = append(message, spanID[:]...)
	message = append(message, name[:min(len(name), maxLoggedName)]...)
	trace.Log(ctx, TraceLogCategory, string(message))
}
