package tracectx

import (
	"context"
	"math"
	rtrace "runtime/trace"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
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
	direct source // spans that come to the Processor itself

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
		table:    newTable(config.Capacity, config.History != nil),
		names:    newNames(config.MaxNames),
		labeller: labeller{off: config.NoLabels, start: now, merged: map[uint64]context.Context{}},
		observer: newObserver(config, now),
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
	e, ok := p.table.remove(key, id.TraceID(), nanoseconds(span.EndTime()))
	if !ok {
		return
	}
	p.names.count(e.broken)
	if !p.labeller.off {
		p.labeller.unset(key, &e)
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
	name := p.names.intern(span.Name())
	s := slot{
		trace: id.TraceID(), start: nanoseconds(span.StartTime()), seen: notSeen,
		source: from.id, name: name.index,
	}
	if id.IsSampled() {
		s.flags = sampled
	}
	if !p.labeller.off {
		s.stack = here()
		if labelled(ctx) {
			s.flags |= merged
		}
	}
	key := keyOf(id.SpanID())
	if p.table.add(key, &s, span, &from.closed) && !p.labeller.off {
		p.labeller.set(ctx, key, name, &s)
	}
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
