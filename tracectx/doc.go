// SPDX-License-Identifier: Apache-2.0

// Package tracectx tracks the active OpenTelemetry root spans of this process,
// which are its requests in flight. Once per tick it reports the oldest spans, the
// number of spans per name, and spans that were never ended.
//
// A [Processor] is a span processor. Pass it to the tracer provider:
//
//	p, err := tracectx.New(tracectx.Config{})
//	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p))
//
// [Processor.Attach] adds it to an existing provider. [Processor.Observe] returns the
// current state. Package agent does all of this.
//
// # Local root spans
//
// The Processor tracks local root spans: spans without a parent in this process. A
// request has one, whatever the number of spans below it. The Processor reads span
// ids, names and start times, never attributes.
//
// The SDK does not pass spans that the sampler dropped to span processors, so at 1 %
// head sampling a Processor sees 1 % of the requests.
// [Processor.WrapTracerProvider] sees all of them.
//
// An active span counts under the name it started with, an ended span under the name
// it ended with. With WrapTracerProvider a new name takes effect at once.
// [Processor.Origin] reports the final names of spans by the name they started with.
//
// If the application loses the context during a request (context.Background), a
// query becomes a root span on the same goroutine as the request. The Processor
// counts such a span as a span but not as load, and the goroutine keeps the name of
// the outer root. The same applies to spans of kind client or producer on
// goroutines that the outer root started. The Processor does not detect the case if
// the goroutine's stack grew after the outer root began.
//
// Programs without spans use [Processor.Do].
//
// # Cost
//
// Start and end together take about 130 ns for a local root and 40 ns for other
// spans, compared with a processor that does nothing, and do not allocate. The first
// processor of a provider costs another 100 ns and one allocation, because the SDK
// then copies each span that ends. An observation of 5,000 active spans takes about
// 0.13 ms. See BenchmarkSpan and BenchmarkObserve.
package tracectx
