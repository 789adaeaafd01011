// SPDX-License-Identifier: Apache-2.0

// Package tracectx answers "which requests are in flight?": it keeps a bounded
// table of the active OpenTelemetry root spans of this process, and says once
// per tick which are the oldest, how many there are of each name, and which of
// them were never ended.
//
// One line puts it into a program that has a tracer provider:
//
//	p, err := tracectx.New(tracectx.Config{})
//	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p))
//
// and [Processor.Attach] adds it to a provider that exists already. Then
// [Processor.Observe] at every tick.
//
// # What it sees
//
// Local roots only: spans without a parent in this process, so one per request,
// whatever the number of spans below it. A span that is not recorded (sampled
// out) never reaches any span processor: at 1 % head sampling this package
// sees 1 % of the requests. A span counts as active under the name that it began
// with, and as ended under the one that it ended with; [Processor.WrapTracerProvider]
// sees a new name at once, and so do those who ask [Processor.Origin] what spans of a
// start name were called in the end. Ids, names and start times are all that is read,
// never attributes.
//
// A root that begins inside another one on the same goroutine, because the context was
// lost on the way (context.Background in the middle of a request), counts as a span but
// not as load, and its goroutine keeps the name of the outer root. So does an outgoing
// call (kind client or producer) on a goroutine that the outer root started. What is
// not recognised as such, for its goroutine's stack has grown since the outer root
// began, is a root of its own.
//
// Programs without spans use [Processor.Do].
//
// # Cost
//
// About 130 ns per local root and 40 ns per other span, start and end together,
// beside a processor that does nothing, and no allocation; the first processor of a
// provider costs another 100 ns and one allocation, which is the SDK making a
// snapshot of each span that ends. An observation of 5,000 active spans takes
// about 18 µs. See BenchmarkSpan and BenchmarkObserve.
package tracectx
