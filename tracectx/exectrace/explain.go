// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

// has tells whether the recorder is on, and has been since before the span began.
func (r *Recorder) has(span sdktrace.ReadOnlySpan) bool {
	since := r.since.Load()
	return since != 0 && span.StartTime().UnixNano() >= since
}

// explain returns the spans of a slow trace with what a recording tells of them,
// or as they are.
func (r *Recorder) explain(ctx context.Context, slow sdktrace.ReadOnlySpan, held []sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	if err := r.take(ctx); err != nil {
		return held
	}
	tree, recorded, err := r.dissect(ctx, slow, held)
	r.release()
	if r.settle(err) != nil {
		return held
	}
	if tree == nil {
		r.counts.slowMissed.Add(1)
		return held
	}
	r.counts.slow.Add(1)
	r.tell(tree.root, recorded)
	return tree.attach(slow, held)
}

// dissect records and analyses; the tree is nil where the span is not found.
func (r *Recorder) dissect(ctx context.Context, slow sdktrace.ReadOnlySpan, held []sdktrace.ReadOnlySpan) (t *tree, recorded []byte, err error) {
	if r.flight == nil {
		return nil, nil, nil // landed meanwhile
	}
	recorded, err = r.record(ctx)
	if err != nil {
		return nil, nil, err
	}
	t = newTree(slow, held)
	if _, err := Analyze(ctx, bytes.NewReader(recorded), r.config.MaxEvents, t.add); err != nil {
		return nil, nil, err
	}
	if t.root == nil {
		return nil, recorded, nil
	}
	return t, recorded, nil
}

// tree is the breakdowns that may belong to the spans of one trace.
type tree struct {
	id    [8]byte // span id of the root
	names map[string]bool
	from  time.Time
	to    time.Time

	root *Breakdown
	rest []*Breakdown
}

const (
	maxTree = 10_000
	// A task begins some 0.5 µs after its span, 0.1 ms at most, but a busy machine may
	// stop the goroutine in between; clocks of the recording agree to 6 ns (trace-correlation §4).
	slack = 100 * time.Millisecond
)

func newTree(slow sdktrace.ReadOnlySpan, held []sdktrace.ReadOnlySpan) *tree {
	t := &tree{id: slow.SpanContext().SpanID(), names: map[string]bool{}, from: slow.StartTime().Add(-slack), to: slow.EndTime().Add(slack)}
	for _, s := range held {
		t.names[s.Name()] = true
	}
	return t
}

func (t *tree) add(b *Breakdown) {
	switch {
	case b.SpanID == t.id:
		t.root = b
	case t.names[b.Name] && !b.Open && b.Start.After(t.from) && b.Start.Before(t.to) && len(t.rest) < maxTree:
		t.rest = append(t.rest, b)
	}
}

// attach returns the spans with attributes. The root is found by its id; spans
// below it by task tree, name and order, if there are as many as in the batch.
func (t *tree) attach(slow sdktrace.ReadOnlySpan, held []sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	below := t.below()
	byName := map[string][]int{} // indexes into held
	for i, s := range held {
		if s.SpanContext().SpanID() != slow.SpanContext().SpanID() {
			byName[s.Name()] = append(byName[s.Name()], i)
		}
	}
	told := slices.Clone(held)
	for i, s := range held {
		if s.SpanContext().SpanID() == slow.SpanContext().SpanID() {
			told[i] = tracectx.WithAttributes(s, Attributes(t.root, duration(s))...)
		}
	}
	for name, indexes := range byName {
		found := below[name]
		if len(found) != len(indexes) {
			continue // some are in another batch: which is which is not known
		}
		slices.SortFunc(indexes, func(i, j int) int { return held[i].StartTime().Compare(held[j].StartTime()) })
		for k, i := range indexes {
			if s := held[i]; found[k].Start.Sub(s.StartTime()).Abs() < slack {
				told[i] = tracectx.WithAttributes(s, Attributes(found[k], duration(s))...)
			}
		}
	}
	return told
}

// below returns what is below the root, by name, in the order of their begins.
func (t *tree) below() map[string][]*Breakdown {
	slices.SortFunc(t.rest, func(x, y *Breakdown) int { return x.Start.Compare(y.Start) }) // parents first
	inside := map[uint64]bool{t.root.Task: true}
	byName := map[string][]*Breakdown{}
	for _, b := range t.rest {
		if inside[b.Parent] {
			inside[b.Task] = true
			byName[b.Name] = append(byName[b.Name], b)
		}
	}
	return byName
}

// Attributes returns a breakdown as span attributes, durations in seconds. whole is
// how long the span took by its own account; coverage is how much of that the
// breakdown explains, up to 1.
func Attributes(b *Breakdown, whole time.Duration) []attribute.KeyValue {
	coverage := 1.0
	if whole > b.Duration {
		coverage = b.Duration.Seconds() / whole.Seconds()
	}
	const prefix = "gmpulse.span.exec."
	attrs := []attribute.KeyValue{
		attribute.Float64(prefix+"coverage", coverage),
		attribute.Float64(prefix+"running", b.Self[Running].Seconds()),
		attribute.Float64(prefix+"runnable", b.Self[Runnable].Seconds()),
		attribute.Float64(prefix+"syscall", b.Self[Syscall].Seconds()),
		attribute.Float64(prefix+"blocked", b.Self.Blocked().Seconds()),
	}
	add := func(key string, d time.Duration) {
		if d > 0 {
			attrs = append(attrs, attribute.Float64(prefix+key, d.Seconds()))
		}
	}
	for c, d := range b.Self.All() {
		if c.Blocked() {
			add("blocked."+c.String(), d)
		}
	}
	if b.Goroutines > 0 {
		attrs = append(attrs, attribute.Int(prefix+"others.goroutines", b.Goroutines))
	}
	add("others.running", b.Others[Running])
	add("others.runnable", b.Others[Runnable])
	add("others.syscall", b.Others[Syscall])
	add("others.blocked", b.Others.Blocked())
	add("stw", b.STW)
	add("gc_mark", b.Mark)
	add("gc_mark_assist", b.MarkAssist)
	if len(b.Wakers) > 0 {
		attrs = append(attrs, attribute.String(prefix+"waker", b.Wakers[0].String()))
	}
	return attrs
}

// String says who ended which waits: "mutex 12ms, waits: 3, ended by shop.(*Cart).Add:88 for GET /cart".
func (w *Waker) String() string {
	by := w.Site
	if by == "" {
		by = "the runtime (a timer, the network)"
	}
	if w.Span != "" {
		by += " for " + w.Span
	}
	return fmt.Sprintf("%v %v, waits: %d, ended by %s", w.Cause, w.Time.Round(time.Microsecond), w.Waits, by)
}
