// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/internal/agentlabel"
)

const (
	explainTimeout = 5 * time.Second
	exportTimeout  = 30 * time.Second
)

// WrapExporter returns an exporter that adds attributes to slow local root spans and
// passes all spans to next. A span is slow if it is longer than [Config.SlowerThan], or
// than the 99th percentile of its name. One slow span per [Config.SlowEvery] is
// analyzed if Run has been recording since it began, see [Config.Mode]. The span, and
// the spans below it in the same batch, get the attributes gmpulse.span.exec.*, which
// tell where the time went, in seconds.
//
// The spans of the slow trace are delayed for at most five seconds, in a goroutine of
// the exporter. All other spans are exported at once, and so is the slow trace if
// anything fails. next is called once at a time. Shutdown waits for delayed spans.
// ForceFlush delays no spans.
func (r *Recorder) WrapExporter(next sdktrace.SpanExporter) sdktrace.SpanExporter {
	return &exporter{recorder: r, next: next, lock: make(chan struct{}, 1), delayed: make(chan struct{}, 1)}
}

type exporter struct {
	recorder *Recorder
	next     sdktrace.SpanExporter

	lock    chan struct{} // holds one element while next is called: a mutex whose waiters honour a context
	delayed chan struct{} // holds one element while the goroutine runs that delays spans
}

var _ sdktrace.SpanExporter = (*exporter)(nil)

// ExportSpans exports the spans, except the spans of a slow trace.
func (x *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	slow := x.recorder.slow.pick(time.Now(), spans, x.recorder.covers)
	if slow == nil || inForceFlush() {
		return x.export(ctx, spans)
	}
	select {
	case x.delayed <- struct{}{}:
	default:
		return x.export(ctx, spans)
	}
	trace, rest := split(spans, slow)
	go func() { //nolint:contextcheck // the context of the batch ends with the batch; Shutdown waits for delayed
		defer func() { <-x.delayed }()
		pprof.Do(context.Background(), pprof.Labels(agentlabel.Key, "slow span"), func(ctx context.Context) { x.explain(ctx, slow, trace) })
	}()
	return x.export(ctx, rest)
}

// explain adds attributes to the spans of a slow trace and exports them.
func (x *exporter) explain(ctx context.Context, slow sdktrace.ReadOnlySpan, trace []sdktrace.ReadOnlySpan) {
	bounded, cancel := context.WithTimeoutCause(ctx, explainTimeout, errors.New("exectrace: the analysis of a slow span took too long"))
	trace = x.recorder.explain(bounded, slow, trace)
	cancel()
	bounded, cancel = context.WithTimeoutCause(ctx, exportTimeout, errors.New("exectrace: the export of a slow span took too long"))
	defer cancel()
	if err := x.export(bounded, trace); err != nil {
		otel.Handle(err) // as the SDK's batch span processor does
	}
}

func (x *exporter) export(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	select {
	case x.lock <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("exectrace: %d spans not exported: the export of a slow trace is running: %w", len(spans), context.Cause(ctx))
	}
	defer func() { <-x.lock }()
	return x.next.ExportSpans(ctx, spans)
}

// Shutdown waits for delayed spans and shuts next down.
func (x *exporter) Shutdown(ctx context.Context) error {
	var err error
	select {
	case x.delayed <- struct{}{}:
		<-x.delayed
	case <-ctx.Done():
		err = fmt.Errorf("exectrace: shutdown before a slow span was exported: %w", context.Cause(ctx))
	}
	return errors.Join(err, x.next.Shutdown(ctx))
}

// split returns the spans of the slow span's trace, and the others, in new slices: the
// caller of ExportSpans reuses the batch.
func split(spans []sdktrace.ReadOnlySpan, slow sdktrace.ReadOnlySpan) (trace, rest []sdktrace.ReadOnlySpan) {
	for _, s := range spans {
		if s.SpanContext().TraceID() == slow.SpanContext().TraceID() {
			trace = append(trace, s)
		} else {
			rest = append(rest, s)
		}
	}
	return trace, rest
}

// inForceFlush reports whether the export is part of a call of ForceFlush, whose caller
// waits for it and may be about to freeze the process. Only the stack tells. The
// exporter checks it once per slow span.
func inForceFlush() bool { return bytes.Contains(debug.Stack(), []byte(".ForceFlush")) }
