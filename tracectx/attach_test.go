// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"context"
	"sync"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/gmpulse/gmpulse/tracectx"
)

func TestAttachedProcessorSeesLaterSpans(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tp := newProvider(t)
	_, before := tp.Tracer("").Start(t.Context(), "before")
	for range 3 {
		if !p.Attach(tp) {
			t.Fatal("not attached")
		}
	}
	_, span := tp.Tracer("").Start(t.Context(), "a")
	expect(t, p, counts{active: 1, started: 1})
	before.End()
	expect(t, p, counts{active: 1, started: 1})
	span.End()
	expect(t, p, counts{started: 1, ended: 1})
}

// countingProvider counts registrations.
type countingProvider struct {
	*sdktrace.TracerProvider
	registered, unregistered int
}

func (c *countingProvider) RegisterSpanProcessor(sp sdktrace.SpanProcessor) {
	c.registered++
	c.TracerProvider.RegisterSpanProcessor(sp)
}

func (c *countingProvider) UnregisterSpanProcessor(sp sdktrace.SpanProcessor) {
	c.unregistered++
	c.TracerProvider.UnregisterSpanProcessor(sp)
}

func TestAttachRegistersOnce(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tp := &countingProvider{TracerProvider: newProvider(t)}
	for range 3 {
		p.Attach(tp)
	}
	p.Detach()
	p.Detach()
	if tp.registered != 1 || tp.unregistered != 1 {
		t.Errorf("registered %d times, unregistered %d times", tp.registered, tp.unregistered)
	}
}

func TestSpansOfAProcessorRegisteredTwiceCountOnce(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tp := newProvider(t, sdktrace.WithSpanProcessor(p))
	if !p.Attach(tp) {
		t.Fatal("not attached")
	}
	_, span := tp.Tracer("").Start(t.Context(), "a")
	expect(t, p, counts{active: 1, started: 1})
	span.End()
	expect(t, p, counts{started: 1, ended: 1})
}

// uncomparable is a provider that cannot be compared.
type uncomparable struct {
	*sdktrace.TracerProvider
	_ []int
}

// unregistrable accepts processors and cannot unregister them.
type unregistrable struct {
	trace.TracerProvider
	tp *sdktrace.TracerProvider
}

func (u *unregistrable) RegisterSpanProcessor(sp sdktrace.SpanProcessor) {
	u.tp.RegisterSpanProcessor(sp)
}

func TestAttachReturnsFalse(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	for name, tp := range map[string]trace.TracerProvider{
		"nil":          nil,
		"no-op":        noop.NewTracerProvider(),
		"uncomparable": uncomparable{TracerProvider: newProvider(t)},
	} {
		if first, again := p.Attach(tp), p.Attach(tp); first || again {
			t.Errorf("attached to %s", name)
		}
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.Attach(newProvider(t)) {
		t.Error("attached after Shutdown")
	}
}

func TestAttachLimitsProviders(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	var tps []*sdktrace.TracerProvider
	for range 16 {
		tps = append(tps, newProvider(t))
		if !p.Attach(tps[len(tps)-1]) {
			t.Fatalf("provider %d was not attached", len(tps))
		}
	}
	if p.Attach(newProvider(t)) {
		t.Error("no limit of providers")
	}
	if err := tps[3].Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.Attach(tps[3]) {
		t.Error("attached to a provider that has shut down")
	}
	if !p.Attach(newProvider(t)) {
		t.Error("a provider that has shut down still counts")
	}
}

func TestProviderShutdownRemovesItsSpansOnly(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	a, b := newProvider(t), newProvider(t)
	p.Attach(a)
	p.Attach(b)
	_, spanA := a.Tracer("").Start(t.Context(), "a")
	_, spanB := b.Tracer("").Start(t.Context(), "b")
	if err := a.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	spanA.End()
	got := expect(t, p, counts{active: 1, started: 2, untracked: 1})
	if got.Active[0].Name != "b" {
		t.Errorf("%q is left", got.Active[0].Name)
	}
	spanB.End()
	b.Tracer("").Start(t.Context(), "c")
	expect(t, p, counts{active: 1, started: 3, ended: 1, untracked: 1})
}

func TestDetachRemovesSpans(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tp, stubborn := newProvider(t), newProvider(t)
	p.Attach(tp)
	p.Attach(&unregistrable{tp, stubborn})
	tp.Tracer("").Start(t.Context(), "a")
	stubborn.Tracer("").Start(t.Context(), "b")
	p.Detach()
	expect(t, p, counts{started: 2, untracked: 2})
	tp.Tracer("").Start(t.Context(), "late")
	stubborn.Tracer("").Start(t.Context(), "late")
	expect(t, p, counts{started: 2, untracked: 2})
	if !p.Attach(tp) {
		t.Fatal("not attached again")
	}
	tp.Tracer("").Start(t.Context(), "again")
	expect(t, p, counts{active: 1, started: 3, untracked: 2})
}

func TestShutdownDetachesAllProviders(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tp := newProvider(t)
	p.Attach(tp)
	tp.Tracer("").Start(t.Context(), "a")
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	tp.Tracer("").Start(t.Context(), "late")
	expect(t, p, counts{started: 1, untracked: 1})
	if p.Attach(tp) {
		t.Error("attached after Shutdown")
	}
	p.Detach()
}

// TestAttachDuringShutdown checks that the locks of the provider and of the Processor do
// not deadlock, and that no span remains active.
func TestAttachDuringShutdown(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	for range 200 {
		tp := sdktrace.NewTracerProvider()
		p.Attach(tp)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := tp.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { p.Attach(tp) })
		wg.Go(func() { tp.Tracer("").Start(context.Background(), "a") })
		wg.Wait()
	}
	if c, _ := observe(t, p); c.active != 0 {
		t.Errorf("%+v", c)
	}
	for range 200 {
		tp := sdktrace.NewTracerProvider()
		var wg sync.WaitGroup
		wg.Go(func() { p.Attach(tp) })
		wg.Go(p.Detach)
		wg.Go(func() { tp.Tracer("").Start(context.Background(), "a") })
		wg.Wait()
		if err := tp.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
	p.Detach()
	if c, _ := observe(t, p); c.active != 0 {
		t.Errorf("%+v", c)
	}
}
