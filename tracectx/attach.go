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

// maxProviders is the number of providers that a Processor can be attached to. A
// process has one or two; tests create more and shut them down.
const maxProviders = 16

// An attachment is the span processor that Attach registers with a provider, so that
// the provider's Shutdown affects only the spans of that provider.
type attachment struct {
	source
	processor *Processor
	provider  trace.TracerProvider
}

var _ sdktrace.SpanProcessor = (*attachment)(nil)

func (a *attachment) OnStart(ctx context.Context, span sdktrace.ReadWriteSpan) {
	a.processor.start(ctx, &a.source, span)
}

func (a *attachment) OnEnd(span sdktrace.ReadOnlySpan) { a.processor.OnEnd(span) }

func (a *attachment) Shutdown(context.Context) error {
	a.processor.close(&a.source)
	return nil
}

func (*attachment) ForceFlush(context.Context) error { return nil }

// Attach registers the Processor with tp and reports whether it is attached. Attach
// does nothing if it is attached already, so a program whose provider may change
// later can call it at every tick.
//
// Attach returns false for a provider that accepts no span processors (such as the
// no-op provider and otel's global provider before one is set), a provider that was
// shut down while attached, a value that is not comparable (pass a pointer), if 16
// providers are attached, and after [Processor.Shutdown].
//
// The Processor does not know spans that started earlier and ignores their ends.
// Attach may wait for a lock of the provider, which the provider holds while it
// unregisters another processor.
func (p *Processor) Attach(tp trace.TracerProvider) bool {
	to, ok := tp.(interface{ RegisterSpanProcessor(sdktrace.SpanProcessor) }) // also of types that embed a provider
	if !ok || !reflect.ValueOf(tp).Comparable() {
		return false
	}
	a, isNew := p.attachments.add(p, tp)
	if isNew { // without our lock: a provider calls our Shutdown with its own lock held
		to.RegisterSpanProcessor(a)
	}
	return a != nil && !a.closed.Load()
}

// Attached reports whether the Processor receives spans: it is attached to a provider
// that is not shut down, or has seen a root span or a call of Do.
func (p *Processor) Attached() bool {
	isOpen := func(a *attachment) bool { return !a.closed.Load() }
	if p.jobs.Load() > 0 || slices.ContainsFunc(p.attachments.all(), isOpen) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.observer.started > 0
}

// Detach unregisters the Processor from all providers that [Processor.Attach]
// registered it with, and forgets their spans. It does not affect providers that got
// the Processor as an option. When Detach returns, no new span is added. It may wait
// for a provider's lock as Attach does.
func (p *Processor) Detach() {
	for _, a := range p.attachments.clear() {
		p.close(&a.source) // a provider need not support unregistering
		if from, ok := a.provider.(interface{ UnregisterSpanProcessor(sdktrace.SpanProcessor) }); ok {
			from.UnregisterSpanProcessor(a)
		}
	}
}

// attachments is the set of providers that a Processor is attached to.
type attachments struct {
	mu     sync.Mutex
	list   []*attachment
	lastID uint32
}

// add returns the attachment to tp and reports whether it is new. It returns nil if
// tp cannot be attached.
func (as *attachments) add(p *Processor, tp trace.TracerProvider) (a *attachment, isNew bool) {
	as.mu.Lock()
	defer as.mu.Unlock()
	for _, a := range as.list {
		if a.provider == tp {
			return a, false
		}
	}
	if len(as.list) == maxProviders {
		// Providers that were shut down stay in the list until now: they must not be
		// attached again.
		as.list = slices.DeleteFunc(as.list, func(a *attachment) bool { return a.closed.Load() })
	}
	if p.direct.closed.Load() || len(as.list) == maxProviders {
		return nil, false
	}
	as.lastID++
	a = &attachment{source: source{id: as.lastID}, processor: p, provider: tp}
	as.list = append(as.list, a)
	return a, true
}

// all returns a copy of the list.
func (as *attachments) all() []*attachment {
	as.mu.Lock()
	defer as.mu.Unlock()
	return slices.Clone(as.list)
}

// clear empties the list and returns its former content.
func (as *attachments) clear() []*attachment {
	as.mu.Lock()
	defer as.mu.Unlock()
	list := as.list
	as.list = nil
	return list
}
