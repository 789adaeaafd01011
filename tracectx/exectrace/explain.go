// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"bytes"
	"context"
	"slices"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/internal/otelspan"
)

// covers reports whether Run has been recording since before a span began.
func (r *Recorder) covers(span sdktrace.ReadOnlySpan) bool {
	since := r.runningSince.Load()
	return since != 0 && span.StartTime().UnixNano() >= since
}

// explain returns the spans of a slow root's trace with the attributes of their
// breakdowns. Spans without a breakdown stay unchanged.
func (r *Recorder) explain(ctx context.Context, slow sdktrace.ReadOnlySpan, spans []sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	if err := r.acquire(ctx); err != nil {
		return spans
	}
	m, recorded, err := r.analyzeSlow(ctx, slow, spans)
	r.release()
	if r.count(err) != nil {
		return spans
	}
	if m == nil {
		r.inc(&r.stats.SlowMissed)
		return spans
	}
	r.inc(&r.stats.Slow)
	r.notifySlow(m.root, recorded)
	return m.apply(slow, spans)
}

// analyzeSlow takes a snapshot and analyzes it. The matcher is nil if the snapshot
// does not contain the slow root. The caller holds the lock.
func (r *Recorder) analyzeSlow(ctx context.Context, slow sdktrace.ReadOnlySpan, spans []sdktrace.ReadOnlySpan) (m *matcher, recorded []byte, err error) {
	if r.flight == nil { // Run has stopped recording
		return nil, nil, nil
	}
	recorded, err = r.snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	m = newMatcher(slow, spans)
	if _, err := Analyze(ctx, bytes.NewReader(recorded), r.config.MaxEvents, m.add); err != nil {
		return nil, nil, err
	}
	if m.root == nil {
		return nil, recorded, nil
	}
	return m, recorded, nil
}

// A matcher finds the breakdowns of the spans of one trace.
type matcher struct {
	id       [8]byte // span id of the root
	names    map[string]bool
	from, to time.Time

	root *Breakdown
	rest []*Breakdown // may belong to the trace
}

const (
	maxMatched = 10_000
	// slack is the tolerance for start times. A task begins about 0.5 µs after its
	// span, but on a busy machine the goroutine may be preempted in between.
	slack = 100 * time.Millisecond
)

func newMatcher(slow sdktrace.ReadOnlySpan, spans []sdktrace.ReadOnlySpan) *matcher {
	m := &matcher{id: slow.SpanContext().SpanID(), names: map[string]bool{}, from: slow.StartTime().Add(-slack), to: slow.EndTime().Add(slack)}
	for _, s := range spans {
		m.names[s.Name()] = true
	}
	return m
}

func (m *matcher) add(b *Breakdown) {
	switch {
	case b.SpanID == m.id:
		m.root = b
	case m.names[b.Name] && !b.Open && b.Start.After(m.from) && b.Start.Before(m.to) && len(m.rest) < maxMatched:
		m.rest = append(m.rest, b)
	}
}

// apply adds attributes to the spans. The root is identified by its id. The others have
// no ids in the trace: they are matched by task tree, name and order, if the trace has
// as many spans of the name as the batch.
func (m *matcher) apply(slow sdktrace.ReadOnlySpan, spans []sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	result, limit := slices.Clone(spans), otelspan.AttributeLimit()
	byName := map[string][]int{} // indexes of spans
	for i, s := range spans {
		if s.SpanContext().SpanID() == slow.SpanContext().SpanID() {
			result[i] = otelspan.WithAttributes(s, limit, attributes(m.root, duration(s))...)
			continue
		}
		byName[s.Name()] = append(byName[s.Name()], i)
	}
	below := m.below()
	for name, indexes := range byName {
		found := below[name]
		if len(found) != len(indexes) { // some spans are in another batch
			continue
		}
		slices.SortFunc(indexes, func(i, j int) int { return spans[i].StartTime().Compare(spans[j].StartTime()) })
		for k, i := range indexes {
			if s := spans[i]; found[k].Start.Sub(s.StartTime()).Abs() < slack {
				result[i] = otelspan.WithAttributes(s, limit, attributes(found[k], duration(s))...)
			}
		}
	}
	return result
}

// below returns the breakdowns below the root by name, in the order of their starts.
func (m *matcher) below() map[string][]*Breakdown {
	slices.SortFunc(m.rest, func(x, y *Breakdown) int { return x.Start.Compare(y.Start) }) // parents first
	tasks := map[uint64]bool{m.root.Task: true}
	byName := map[string][]*Breakdown{}
	for _, b := range m.rest {
		if tasks[b.Parent] {
			tasks[b.Task] = true
			byName[b.Name] = append(byName[b.Name], b)
		}
	}
	return byName
}
