// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"math"
	"runtime/pprof"
	rtrace "runtime/trace"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// A Processor is a span processor that knows the active local root spans, those
// whose parent is remote or missing. Make one with [New]; give it to a tracer
// provider with sdktrace.WithSpanProcessor or [Processor.Attach]; read it with
// [Processor.Observe].
//
// It never blocks a span. It neither holds on to one nor changes one unless
// [Config.History] asks for events on those that take long. What it remembers is
// bounded by its [Config]. Spans may end twice, on another goroutine, never, or
// without their start having been seen; the processor may be registered twice
// with a provider and still counts each span once, save those that find no room.
//
// All methods may be called concurrently.
type Processor struct {
	table  *table
	names  *names
	clock  clock
	direct source        // spans that come to the Processor itself
	jobs   atomic.Uint64 // begun by Do: keys

	labeller labeller
	enricher enricher

	attachments attachments

	mu       sync.Mutex // what follows belongs to Observe and Shutdown
	observer observer
	cleared  uint64 // spans whose provider shut down before they ended
}

// A source is one way for spans to come in.
type source struct {
	id     uint32 // 0 is Processor.direct
	closed atomic.Bool
}

var (
	_ sdktrace.SpanProcessor = (*Processor)(nil)
	_ onEnding               = (*Processor)(nil)
)

// New returns a Processor that is not registered anywhere yet. The error names
// every field of config that makes no sense.
func New(config Config) (*Processor, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	p := &Processor{
		names:    newNames(config.MaxNames),
		clock:    clock{start: now, startWall: now.UnixNano()},
		observer: newObserver(config, now),
	}
	p.table = newTable(config.Capacity, config.History != nil, p.names, &p.clock)
	p.labeller = labeller{off: config.NoLabels, table: p.table}
	if !config.NoLabels {
		p.labeller.reader = newLabelReader()
	}
	p.observer.labeller = &p.labeller
	p.enricher = newEnricher(Enrichment{History: config.History})
	return p, nil
}

// OnStart remembers the span if it is a local root, and labels the goroutine. The
// SDK calls it. With OnEnd about 130 ns for a root, 40 ns for any other span; no
// allocation.
func (p *Processor) OnStart(ctx context.Context, span sdktrace.ReadWriteSpan) {
	p.start(ctx, &p.direct, span)
}

// OnEnd forgets the span and takes the labels off. The SDK calls it. For its cost
// see OnStart.
func (p *Processor) OnEnd(span sdktrace.ReadOnlySpan) {
	if hasLocalParent(span.Parent()) {
		return
	}
	id := span.SpanContext()
	key := keyOf(id.SpanID())
	if e, ok := p.table.remove(key, id.TraceID(), nanoseconds(span.EndTime()), span); ok && !p.labeller.off {
		p.labeller.end(key, &e)
	}
}

// end forgets a root that no processor sees end, and takes the labels off the calling
// goroutine if they are the root's.
func (p *Processor) end(key uint64, id trace.TraceID, at int64) {
	e, ok := p.table.remove(key, id, at, nil)
	if ok && !p.labeller.off {
		p.labeller.end(key, &e)
	}
}

// OnEnding enriches the span as [WrapExporter] does, if there is a History. SDKs
// that have such a moment call it; 1.47 does not.
func (p *Processor) OnEnding(span sdktrace.ReadWriteSpan) {
	if p.enricher.history != nil {
		p.enricher.enrichLive(span)
	}
}

// Shutdown forgets all active spans and ignores whatever comes later. Spans that
// were active count as Untracked, for their end will not be seen. It never
// fails and does not wait, so ctx is not used. Observe keeps working.
//
// A provider that the Processor was given to directly calls it from its own
// Shutdown. One that it was attached to does not: there, only that provider's
// spans are forgotten.
func (p *Processor) Shutdown(context.Context) error {
	for _, s := range p.attachments.close() {
		p.forget(&s.source)
	}
	p.forget(&p.direct)
	return nil
}

// ForceFlush does nothing: there is nothing to flush.
func (*Processor) ForceFlush(context.Context) error { return nil }

// start is OnStart, for the source that the span came by.
func (p *Processor) start(ctx context.Context, from *source, span sdktrace.ReadWriteSpan) {
	if hasLocalParent(span.Parent()) {
		return
	}
	if rtrace.IsEnabled() {
		logRoot(ctx, span)
	}
	id := span.SpanContext()
	if p.jobs.Load() > 0 {
		if j := p.jobOf(ctx); j != nil {
			j.adopt(id, span.StartTime())
			return
		}
	}
	s := slot{trace: id.TraceID(), start: nanoseconds(span.StartTime()), source: from.id}
	if id.IsSampled() {
		s.flags = sampled
	}
	p.track(&beginning{ctx: ctx, key: keyOf(id.SpanID()), span: span}, span.Name(), &s, &from.closed) //nolint:contextcheck // the context is in the beginning
}

// track puts a root into the table and labels the calling goroutine, which begins it.
func (p *Processor) track(b *beginning, text string, s *slot, closed *atomic.Bool) (added bool) {
	name, l := p.names.intern(text), &p.labeller
	s.born = p.clock.second()
	if l.off {
		return p.table.add(b.key, s, name, b.span, closed)
	}
	s.stack = here()
	e := name.labels.current.Load()
	if e == nil || int64(s.born) >= e.end {
		e = p.epoch(b.key, name, s)
	}
	if l.reader != nil && runtimeLabels() == nil { // as on most goroutines
		v := variantOf(b.key)
		s.label = e.block.mark(v)
		if added = p.table.add(b.key, s, name, b.span, closed); added {
			pprof.SetGoroutineLabels(&e.block.contexts[v])
		}
		return added
	}
	x := l.begin(b, e, s)
	if added = p.table.add(b.key, s, name, b.span, closed); added {
		l.apply(b.key, x)
	}
	return added
}

// epoch returns the labels of a root, and remembers the first one of its epoch.
func (p *Processor) epoch(key uint64, name *rootName, s *slot) *epochLabels {
	e, isNew := name.labels.at(int64(s.born), p.labeller.reader)
	if isNew {
		name.labels.remember(e.begin, runtimeinfo.Span{TraceID: s.trace, SpanID: spanOf(key), Name: name.text, Start: time.Unix(0, s.start), Sampled: s.flags.has(sampled)})
	}
	return e
}

// labelContext adds the labels of a root that has begun to its context, and has the
// goroutine carry the very set of the context: a pprof.Do inside the root sets that
// when it is done, and the root's end must know it.
func (p *Processor) labelContext(within context.Context, key uint64, id trace.TraceID, text string) context.Context {
	l := &p.labeller
	if l.off {
		return within
	}
	name := p.names.intern(text)
	if !l.carries(name) {
		return within // it runs inside another
	}
	e, _ := name.labels.at(int64(p.clock.second()), l.reader)
	within = pprof.WithLabels(within, e.set)
	if l.reader == nil || p.table.relabel(key, id, markOf(l.reader.address(within))) {
		pprof.SetGoroutineLabels(within)
	}
	return within
}

// rename gives an active root another name. The goroutine that began it, if that is the
// calling one and it still has the root's labels, gets those of the new name, for the
// goroutines that it starts from then on.
func (p *Processor) rename(key uint64, id trace.TraceID, text string) {
	s, name, ok := p.table.rename(key, id, text)
	if !ok || s.label == 0 || !near(s.stack, here()) || !p.labeller.has(s.label) {
		return
	}
	e := p.epoch(key, name, &s)
	if p.labeller.reader == nil {
		if !s.flags.has(saved) {
			pprof.SetGoroutineLabels(e.ctx)
		}
		return
	}
	if before := p.labeller.peek(key); before != nil {
		merged := pprof.WithLabels(before, e.set)
		pprof.SetGoroutineLabels(merged)
		p.table.relabel(key, id, markOf(p.labeller.reader.address(merged)))
		return
	}
	v := variantOf(key)
	pprof.SetGoroutineLabels(&e.block.contexts[v])
	p.table.relabel(key, id, e.block.mark(v))
}

// forget closes a source and removes its spans.
func (p *Processor) forget(s *source) {
	p.mu.Lock() // so that an observation sees all of it or nothing
	defer p.mu.Unlock()
	s.closed.Store(true)
	p.cleared += p.table.removeFrom(s.id)
	p.labeller.forgetAll()
}

// hasLocalParent says of a span's parent that it is a span of this process. It
// goes by the span's own parent and not by the context it was started in: with
// trace.WithNewRoot they differ. In the order that is soonest done for roots.
func hasLocalParent(parent trace.SpanContext) bool {
	return parent.HasSpanID() && !parent.IsRemote() && parent.HasTraceID()
}

// nanoseconds is t.UnixNano, but for times that do not fit (the user may have
// given any) the nearest that does.
func nanoseconds(t time.Time) int64 {
	const fits = math.MaxInt64/int64(time.Second) - 1
	switch s := t.Unix(); {
	case s > fits:
		return fits * int64(time.Second)
	case s < -fits:
		return -fits * int64(time.Second)
	default:
		return s*int64(time.Second) + int64(t.Nanosecond())
	}
}
