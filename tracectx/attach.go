// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"reflect"
	"slices"
	"sync"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// maxProviders bounds the providers that a Processor is attached to at once. A
// process has one, seldom two; tests make more, and shut them down.
const maxProviders = 16

// registrar and unregistrar are the parts of *sdktrace.TracerProvider that
// attaching needs, so that providers that embed one will do.
type registrar interface {
	RegisterSpanProcessor(processor sdktrace.SpanProcessor)
}

type unregistrar interface {
	UnregisterSpanProcessor(processor sdktrace.SpanProcessor)
}

// An attachment is what a provider gets registered in place of the Processor:
// thus its Shutdown is known to be that one provider's.
type attachment struct {
	source
	processor *Processor
	provider  trace.TracerProvider
}

var (
	_ sdktrace.SpanProcessor = (*attachment)(nil)
	_ onEnding               = (*attachment)(nil)
)

func (a *attachment) OnStart(ctx context.Context, span sdktrace.ReadWriteSpan) {
	a.processor.start(ctx, &a.source, span)
}

func (a *attachment) OnEnd(span sdktrace.ReadOnlySpan) { a.processor.OnEnd(span) }

func (a *attachment) OnEnding(span sdktrace.ReadWriteSpan) { a.processor.OnEnding(span) }

func (a *attachment) Shutdown(context.Context) error {
	a.processor.forget(&a.source)
	return nil
}

func (*attachment) ForceFlush(context.Context) error { return nil }

// Attach registers the Processor with tp and reports whether it is attached
// now. Attaching again to the same provider changes nothing and costs little, so
// that a program whose provider may be set later can call it at every tick.
//
// It returns false for providers that take no span processors (the no-op one,
// otel's global stand-in before a real one is set), ones that have shut
// down while attached, values that cannot be compared (pass a pointer), beyond
// 16 live providers, and after [Processor.Shutdown].
//
// Spans that started before are not known, and their ends are ignored. It may
// wait for a lock of the provider's: one is held while another processor of
// it is being unregistered.
func (p *Processor) Attach(tp trace.TracerProvider) bool {
	to, ok := tp.(registrar)
	if !ok || !reflect.ValueOf(tp).Comparable() {
		return false
	}
	a, isNew := p.attachments.add(p, tp)
	// Outside the lock: a provider that shuts down calls us under a lock of its own.
	if isNew {
		to.RegisterSpanProcessor(a)
	}
	return a != nil && !a.closed.Load()
}

// Attached reports whether the Processor sees spans: it is attached to a provider that
// has not shut down, or a root or the work of a Do has come to it, whichever way.
func (p *Processor) Attached() bool {
	if p.jobs.Load() > 0 || p.attachments.anyLive() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.observer.started > 0
}

// Detach unregisters the Processor from every provider that [Processor.Attach]
// added it to, and forgets their spans. Providers that it was given to directly
// keep it. It returns when no new span will be taken; it may wait for a
// provider's lock as Attach may.
func (p *Processor) Detach() {
	for _, a := range p.attachments.clear() {
		p.forget(&a.source) // first and ourselves: a provider need not know how
		if from, ok := a.provider.(unregistrar); ok {
			from.UnregisterSpanProcessor(a)
		}
	}
}

// attachments are the providers that a Processor is attached to.
type attachments struct {
	mu     sync.Mutex
	list   []*attachment
	lastID uint32
	closed bool
}

// add returns the attachment to tp, nil if there is not to be one, and whether
// it was made now and wants registering.
func (as *attachments) add(p *Processor, tp trace.TracerProvider) (a *attachment, isNew bool) {
	as.mu.Lock()
	defer as.mu.Unlock()
	for _, a := range as.list {
		if a.provider == tp {
			return a, false
		}
	}
	if len(as.list) == maxProviders {
		// Those shut down stay known until here, so that they are not attached anew.
		as.list = slices.DeleteFunc(as.list, func(a *attachment) bool { return a.closed.Load() })
	}
	if as.closed || len(as.list) == maxProviders {
		return nil, false
	}
	as.lastID++
	a = &attachment{source: source{id: as.lastID}, processor: p, provider: tp}
	as.list = append(as.list, a)
	return a, true
}

// anyLive reports whether there is a provider that has not shut down.
func (as *attachments) anyLive() bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	return slices.ContainsFunc(as.list, func(a *attachment) bool { return !a.closed.Load() })
}

// clear empties the list and returns what was in it.
func (as *attachments) clear() []*attachment {
	as.mu.Lock()
	defer as.mu.Unlock()
	list := as.list
	as.list = nil
	return list
}

// close lets no attachment be made any more and returns those there are.
func (as *attachments) close() []*attachment {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.closed = true
	return slices.Clone(as.list)
}
