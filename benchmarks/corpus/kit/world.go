// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// World is what a running program has.
type World struct {
	Clock
	// Ctx lives as long as the process, so that nothing ends before the record is taken.
	Ctx      context.Context //nolint:containedctx // a World is made for one run and is passed around as its context
	program  *Program
	provider trace.TracerProvider // nil without spans
	requests atomic.Int64
	roles    roles
}

// Provider returns the TracerProvider of the program, nil without spans.
func (w *World) Provider() trace.TracerProvider { return w.provider }

// Root runs f under a local root span, or by itself in a program without spans.
func (w *World) Root(name string, f func(ctx context.Context)) {
	w.requests.Add(1)
	if w.provider == nil {
		f(w.Ctx)
		return
	}
	ctx, span := w.provider.Tracer("corpus").Start(w.Ctx, name, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	f(ctx)
}

// StartSpan begins a root span for what does not fit in one function call. The caller
// calls end.
func (w *World) StartSpan(ctx context.Context, name string) (_ context.Context, end func()) {
	w.requests.Add(1)
	if w.provider == nil {
		return ctx, func() {}
	}
	ctx, span := w.provider.Tracer("corpus").Start(ctx, name, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
	return ctx, func() { span.End() }
}

// Handle returns a handler that runs f under a root span of its route.
func (w *World) Handle(route string, f http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		ctx, end := w.StartSpan(r.Context(), route)
		defer end()
		f(rw, r.WithContext(ctx))
	}
}

// Serve serves h on a loopback port until the run ends and returns its URL.
func (w *World) Serve(h http.Handler) string {
	l := w.Listen()
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	return "http://" + l.Addr().String()
}

// Listen listens on a loopback port.
func (w *World) Listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Must(err)
	return l
}

// Load calls f on goroutines of their own, at the rate of s.
func (w *World) Load(s Shape, f func()) {
	go w.Arrivals(w.Ctx, s, func() { go f() })
}

// Logf writes a line to the log of the program.
func (w *World) Logf(format string, a ...any) {
	fmt.Fprintf(os.Stderr, "%7.1f  %s\n", time.Since(w.Start).Seconds(), fmt.Sprintf(format, a...))
}

// Must ends the process if err is not nil.
func Must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
}
