// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Do calls f as one unit of work, for programs without OpenTelemetry and for jobs that
// have no span: it counts under name as a local root span does, from now until f
// returns, panics or exits its goroutine, and the goroutines that f starts carry the
// name ([RootLabel]). The name stands for a kind of work, like that of a span: no ids.
//
//	p.Do(ctx, "refresh prices", func(ctx context.Context) { ... })
//
// Give f's context to what f calls: then no root span that begins inside counts again.
// Where ctx has a span of this process, or comes from another Do, f is part of that
// one and Do only calls it. [SetName] renames the work.
//
// In snapshots such work has no trace id, and it is not sampled. It costs about 0.4 µs
// and a few allocations. It may be called from any goroutine, and does not recover
// panics.
func (p *Processor) Do(ctx context.Context, name string, f func(ctx context.Context)) {
	if hasLocalParent(trace.SpanContextFromContext(ctx)) || p.inJob(ctx) {
		f(ctx)
		return
	}
	j := &job{processor: p, key: p.jobs.Add(1)}
	within := j.begin(ctx, name)
	defer j.end() //nolint:contextcheck // it asks contexts for labels only
	f(within)
}

// SetName gives another name to the work that ctx comes from ([Processor.Do]), as
// SetName of a span does: for a server that knows the route only later. It counts
// under the last name; goroutines that its own goroutine starts from then on carry it.
// Without such work, or once it has ended, SetName does nothing.
func SetName(ctx context.Context, name string) {
	if j, ok := ctx.Value(jobKey{}).(*job); ok && !j.ended.Load() {
		j.processor.rename(j.key, trace.TraceID{}, name) //nolint:contextcheck // as in Do
	}
}

// A job is the work of a Do. Its key is unique among those without a trace id.
type job struct {
	processor *Processor
	key       uint64
	epoch     atomic.Pointer[epoch] // whose example it may be; nil once that has ids
	ended     atomic.Bool
}

type jobKey struct{}

// begin tracks the job, which runs on the calling goroutine, and returns its context.
func (j *job) begin(ctx context.Context, name string) context.Context {
	p := j.processor
	s := slot{start: time.Now().UnixNano()}
	p.track(&beginning{ctx: ctx, key: j.key, kind: trace.SpanKindServer}, name, &s, &p.direct.closed)
	begin, _ := epochOf(int64(s.born))
	j.epoch.Store(p.names.intern(name).labels.epoch(begin))
	return p.labelContext(context.WithValue(ctx, jobKey{}, j), j.key, s.trace, name)
}

func (j *job) end() {
	j.ended.Store(true)
	j.processor.end(j.key, trace.TraceID{}, time.Now().UnixNano())
}

// inJob reports whether a context comes from a job that runs: a root that begins
// with it is part of the job.
func (p *Processor) inJob(ctx context.Context) bool { return p.jobOf(ctx) != nil }

func (p *Processor) jobOf(ctx context.Context) *job {
	if p.jobs.Load() == 0 {
		return nil // most programs have none, and looking takes time
	}
	if j, ok := ctx.Value(jobKey{}).(*job); ok && j.processor == p && !j.ended.Load() {
		return j
	}
	return nil
}

// adopt takes the ids of a span that began inside the job, if nobody else's are known
// of its name and epoch: an example then leads to a trace.
func (j *job) adopt(id trace.SpanContext, start time.Time) {
	x := j.epoch.Swap(nil)
	if x == nil {
		return
	}
	x.identify(runtimeinfo.Span{TraceID: id.TraceID(), SpanID: id.SpanID(), Start: start, Sampled: id.IsSampled()})
}
