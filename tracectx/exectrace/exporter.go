// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	explainTimeout = 5 * time.Second
	exportTimeout  = 30 * time.Second
)

// WrapExporter returns an exporter that hands on to next what it is given, and looks
// into slow local root spans: slower than [Config.SlowerThan], or than 99 of 100
// of their name, one each [Config.SlowEvery]. While the recorder is on ([Config.Mode])
// such a span, and the spans below it in the same batch, get attributes
// gmpulse.span.exec.*, from the execution trace: where each nanosecond went, in seconds.
//
// Only those spans wait, for at most five seconds, on a goroutine of the
// exporter's own; all others, and those too when anything fails, go out as they
// are and at once. next is never called twice at a time. Shutdown waits for the
// spans that wait. During ForceFlush no span is made to wait.
func (r *Recorder) WrapExporter(next sdktrace.SpanExporter) sdktrace.SpanExporter {
	return &exporter{recorder: r, next: next, turn: make(chan struct{}, 1), idle: make(chan struct{}, 1)}
}

type exporter struct {
	recorder *Recorder
	next     sdktrace.SpanExporter

	turn chan struct{} // holds one element while next is called; capacity 1: a lock with a context
	idle chan struct{} // holds one element while spans wait
	wait sync.WaitGroup
}

var _ sdktrace.SpanExporter = (*exporter)(nil)

// ExportSpans hands the spans to next, but for those of a slow trace.
func (x *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	slow := x.recorder.slow.pick(time.Now(), spans, x.recorder.has)
	if slow == nil || flushing() {
		return x.export(ctx, spans)
	}
	select {
	case x.idle <- struct{}{}:
	default:
		return x.export(ctx, spans)
	}
	held, rest := split(spans, slow)
	x.wait.Go(func() { //nolint:contextcheck // the batch's context ends with the batch
		defer func() { <-x.idle }()
		pprof.Do(context.Background(), pprof.Labels(profilerLabel, "slow span"), func(ctx context.Context) { x.explain(ctx, slow, held) })
	})
	return x.export(ctx, rest)
}

// explain exports the spans of a slow trace when they are as told as they will be.
func (x *exporter) explain(ctx context.Context, slow sdktrace.ReadOnlySpan, held []sdktrace.ReadOnlySpan) {
	bounded, cancel := context.WithTimeoutCause(ctx, explainTimeout, errors.New("exectrace: looking into a slow span took too long"))
	held = x.recorder.explain(bounded, slow, held)
	cancel()
	bounded, cancel = context.WithTimeoutCause(ctx, exportTimeout, errors.New("exectrace: exporting a slow span took too long"))
	defer cancel()
	if err := x.export(bounded, held); err != nil {
		otel.Handle(err) // as the SDK's batch processor does
	}
}

func (x *exporter) export(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	select {
	case x.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("exectrace: %d spans of a slow trace are being exported: %w", len(spans), context.Cause(ctx))
	}
	defer func() { <-x.turn }()
	return x.next.ExportSpans(ctx, spans)
}

// Shutdown waits for spans that wait, and shuts next down.
func (x *exporter) Shutdown(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		x.wait.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("exectrace: shutdown: a slow span still waits: %w", context.Cause(ctx))
	}
	return errors.Join(err, x.next.Shutdown(ctx))
}

// split returns the spans of the slow one's trace, and the others. The batch is
// the caller's again when the call has returned.
func split(spans []sdktrace.ReadOnlySpan, slow sdktrace.ReadOnlySpan) (held, rest []sdktrace.ReadOnlySpan) {
	rest = make([]sdktrace.ReadOnlySpan, 0, len(spans)-1)
	for _, s := range spans {
		if s.SpanContext().TraceID() == slow.SpanContext().TraceID() {
			held = append(held, s)
		} else {
			rest = append(rest, s)
		}
	}
	return held, rest
}

// flushing tells whether somebody waits for this very export, in a call of
// ForceFlush: they may be about to freeze the process. Only the stack tells. It
// is looked at once for each slow span.
func flushing() bool {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, ".ForceFlush") {
			return true
		}
		if !more {
			return false
		}
	}
}
