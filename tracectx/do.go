// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/internal/otelspan"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Do calls f as a unit of work that counts like a local root span. It is for programs
// without OpenTelemetry and for jobs without spans. The work is active until f
// returns, panics or calls runtime.Goexit. Goroutines that f starts inherit the name as
// a profiler label ([RootLabel]). Like a span name, name stands for a kind of work and
// must not contain ids.
//
//	p.Do(ctx, "refresh prices", func(ctx context.Context) { ... })
//
// Root spans that begin with f's context are part of the work and do not count.
// If ctx contains a span of this process or comes from another Do, then f is part of
// that work, and Do only calls f. [SetName] renames the work.
//
// In snapshots the work has no trace id and is not sampled. Do takes about 0.4 µs and
// a few allocations. It does not recover panics.
func (p *Processor) Do(ctx context.Context, name string, f func(ctx context.Context)) {
	if otelspan.HasLocalParent(trace.SpanContextFromContext(ctx)) || p.jobOf(ctx) != nil {
		f(ctx)
		return
	}
	j := &job{processor: p, key: p.jobs.Add(1)}
	within := j.begin(ctx, name)
	defer j.end() //nolint:contextcheck // it reads labels of contexts only
	f(within)
}

// SetName renames the work of the [Processor.Do] that ctx comes from, for example when
// a server knows the route of a request. The work counts under its last name.
// Goroutines that the goroutine of Do starts from then on inherit the new name. SetName
// does nothing if ctx comes from no Do, or the work has ended.
func SetName(ctx context.Context, name string) {
	if j, ok := ctx.Value(jobKey{}).(*job); ok && !j.ended.Load() {
		j.processor.rename(j.key, trace.TraceID{}, name) //nolint:contextcheck // as in Do
	}
}

// A job is the work of one call of Do. Its key is unique among the keys without a
// trace id.
type job struct {
	processor  *Processor
	key        uint64
	labels     *labels // of its first name
	epoch      int64
	identified atomic.Bool
	ended      atomic.Bool
}

type jobKey struct{}

// begin adds the job, which runs on the calling goroutine, and returns its context.
func (j *job) begin(ctx context.Context, name string) context.Context {
	p := j.processor
	s := slot{start: time.Now().UnixNano()}
	p.add(&beginning{ctx: ctx, key: j.key, kind: trace.SpanKindServer}, name, &s, &p.direct.closed)
	j.labels = p.names.intern(name).labels
	j.epoch, _ = epochOf(int64(s.born))
	return p.labelContext(context.WithValue(ctx, jobKey{}, j), j.key, s.trace, name)
}

func (j *job) end() {
	j.ended.Store(true)
	j.processor.end(j.key, trace.TraceID{}, time.Now().UnixNano(), nil)
}

// jobOf returns the running job that a context belongs to, or nil.
func (p *Processor) jobOf(ctx context.Context) *job {
	if p.jobs.Load() == 0 { // as in most programs: looking up a context value takes time
		return nil
	}
	if j, ok := ctx.Value(jobKey{}).(*job); ok && j.processor == p && !j.ended.Load() {
		return j
	}
	return nil
}

// identify gives the job the ids of a span that begins inside it, if it is the first:
// the example of the job's epoch then leads to a trace.
func (j *job) identify(id trace.SpanContext, start time.Time) {
	if j.identified.Swap(true) {
		return
	}
	j.labels.identify(j.epoch, runtimeinfo.Span{TraceID: id.TraceID(), SpanID: id.SpanID(), Start: start, Sampled: id.IsSampled()})
}
