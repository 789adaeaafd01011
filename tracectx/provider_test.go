// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"bytes"
	"context"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"

	"github.com/google/pprof/profile"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/gmpulse/gmpulse/tracectx"
)

// otherSDK hides the methods that register span processors.
type otherSDK struct{ trace.TracerProvider }

func providers(t *testing.T, p *tracectx.Processor) map[string]trace.TracerProvider {
	t.Helper()
	return map[string]trace.TracerProvider{
		"recorded":      newProvider(t),
		"dropped":       newProvider(t, sdktrace.WithSampler(sdktrace.NeverSample())),
		"half":          newProvider(t, sdktrace.WithSampler(sdktrace.TraceIDRatioBased(0.5))),
		"processor too": newProvider(t, sdktrace.WithSpanProcessor(p)),
		"other SDK":     otherSDK{newProvider(t)},
	}
}

// TestWrappedProviderCountsEachRequestOnce checks sampled and dropped requests.
func TestWrappedProviderCountsEachRequestOnce(t *testing.T) {
	for name := range providers(t, newProcessor(t, tracectx.Config{})) {
		p := newProcessor(t, tracectx.Config{})
		tracer := p.WrapTracerProvider(providers(t, p)[name]).Tracer("")
		var spans []trace.Span
		for range 100 {
			ctx, span := tracer.Start(t.Context(), "GET /")
			child, inner := tracer.Start(ctx, "child")
			_, leaf := tracer.Start(child, "leaf", trace.WithSpanKind(trace.SpanKindClient))
			spans = append(spans, span, inner, leaf)
			trace.SpanFromContext(child).End()
		}
		if c, _ := observe(t, p); c != (counts{active: 100, started: 100}) {
			t.Errorf("%s: %+v", name, c)
		}
		for range 2 {
			for _, s := range spans {
				s.End()
			}
		}
		if c, _ := observe(t, p); c != (counts{started: 100, ended: 100}) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestWrappedProviderFollowsRootsWithoutParent(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tp := newProvider(t, sdktrace.WithSampler(sdktrace.NeverSample()))
	tracer := p.WrapTracerProvider(tp).Tracer("")
	remote := trace.ContextWithRemoteSpanContext(t.Context(), spanContext(1, 1))
	ctx, a := tracer.Start(remote, "remote parent")
	_, b := tracer.Start(ctx, "new root", trace.WithNewRoot())
	if a.SpanContext().TraceID() != spanContext(1, 1).TraceID() || b.SpanContext().TraceID() == a.SpanContext().TraceID() {
		t.Error("the ids differ from the provider's")
	}
	expect(t, p, counts{active: 2, started: 2})
	trace.SpanFromContext(ctx).End() // End through the context
	b.End()
	expect(t, p, counts{started: 2, ended: 2})

	none := p.WrapTracerProvider(noop.NewTracerProvider()).Tracer("")
	for _, ctx := range []context.Context{t.Context(), remote} {
		_, span := none.Start(ctx, "no ids")
		span.End()
	}
	expect(t, p, counts{started: 2, ended: 2})
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, late := tracer.Start(t.Context(), "late")
	late.End()
	expect(t, p, counts{started: 2, ended: 2})
}

// TestWrappedProviderAcceptsNil passes nil where the SDK accepts it.
func TestWrappedProviderAcceptsNil(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	for name, tp := range providers(t, p) {
		ctx, span := p.WrapTracerProvider(tp).Tracer("").Start(nil, "no context") //nolint:staticcheck // the test needs a nil context
		span.End()
		if ctx == nil || !trace.SpanContextFromContext(ctx).Equal(span.SpanContext()) {
			t.Errorf("%s: context %v", name, ctx)
		}
	}
	_, span := p.WrapTracerProvider(nil).Tracer("").Start(t.Context(), "no provider")
	span.End()
}

// TestWrappedProviderLabelsTheContext checks that a pprof.Do inside the span keeps the
// labels.
func TestWrappedProviderLabelsTheContext(t *testing.T) {
	for name := range providers(t, newProcessor(t, tracectx.Config{})) {
		p := newProcessor(t, tracectx.Config{})
		tracer := p.WrapTracerProvider(providers(t, p)[name]).Tracer("")
		fixStack(t, tracer)
		outer := pprof.WithLabels(t.Context(), pprof.Labels("tenant", "a"))
		pprof.SetGoroutineLabels(outer)
		ctx, span := tracer.Start(outer, "GET /")
		check := func(when string, ctx context.Context, want map[string]string) {
			t.Helper()
			for key, value := range want {
				if got, _ := pprof.Label(ctx, key); got != value {
					t.Errorf("%s, %s: context has %s=%q", name, when, key, got)
				}
			}
		}
		all := map[string]string{tracectx.RootLabel: "GET /", tracectx.EpochLabel: "0", "tenant": "a"}
		check("inside", ctx, all)
		pprof.Do(ctx, pprof.Labels("job", "x"), func(ctx context.Context) {
			check("in Do", ctx, all)
			check("in Do", ctx, map[string]string{"job": "x"})
			var wg sync.WaitGroup
			wg.Go(func() {
				if got := ownLabels(t); got["job"] != "x" || got[tracectx.RootLabel] != "GET /" || got["tenant"] != "a" {
					t.Errorf("%s: a goroutine started inside has %v", name, got)
				}
			})
			wg.Wait()
		})
		span.End()
		if got := ownLabels(t); got["tenant"] != "a" || got[tracectx.RootLabel] != "" {
			t.Errorf("%s: after the span the goroutine has %v", name, got)
		}
		pprof.SetGoroutineLabels(context.Background())
	}
}

// ownLabels returns the profiler labels of the calling goroutine.
func ownLabels(t *testing.T) map[string]string {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 0); err != nil {
		t.Fatal(err)
	}
	all, err := profile.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, s := range all.Sample {
		for _, l := range s.Location {
			if strings.HasSuffix(l.Line[0].Function.Name, ".ownLabels") {
				for k, v := range s.Label {
					labels[k] = v[0]
				}
			}
		}
	}
	return labels
}
