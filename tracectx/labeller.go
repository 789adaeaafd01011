// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"runtime"
	"runtime/pprof"
	"unsafe"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A labeller sets profiler labels on goroutines that begin local roots, and restores
// the former labels when the roots end.
//
// A span may end on another goroutine, whose labels must not change. Therefore begin
// records the address of the label set and the stack address of the caller, and end
// compares both. A goroutine that inherited the set has another stack address; a later
// goroutine that reuses the stack has another set.
type labeller struct {
	off    bool
	reader *labelReader // nil if labels cannot be read
	table  *table
	names  *names
}

// A beginning is a root that begins.
type beginning struct {
	ctx  context.Context //nolint:containedctx // passed to the start of the root
	key  uint64
	span sdktrace.ReadWriteSpan // nil if no span processor sees the root
	kind trace.SpanKind         // if span is nil
}

func (b *beginning) spanKind() trace.SpanKind {
	if b.span != nil {
		return b.span.SpanKind()
	}
	return b.kind
}

// begin returns the labels that the calling goroutine, which has labels and begins the
// root s, must get, and those that the end of the root restores. A nil set means that
// the labels stay. begin records in s what the end needs. It does not set labels yet.
func (l *labeller) begin(b *beginning, e *epochLabels, s *slot) (set, before context.Context) {
	if l.reader == nil {
		return l.beginUnread(b.ctx, e, s)
	}
	now := runtimeLabels()
	if e.block.contains(now) { // set by a root of the same name, or inherited
		return nil, nil
	}
	before = l.reader.context(now)
	root, foreign := splitLabels(before)
	active, same := l.activeRoot(b, root, root == e.value, s.stack, now)
	switch {
	case active && root == e.value: // one of several roots on this goroutine
		return nil, nil
	case active && b.lostContext(same):
		s.flags |= inner
		return nil, nil
	case len(foreign) > 0:
		if root != "" && !active {
			before = pprof.WithLabels(context.Background(), pprof.Labels(foreign...))
		}
		set = pprof.WithLabels(before, e.set)
		s.label = l.reader.mark(set)
		return set, before
	}
	set, s.label = e.block.variant(l.table.variant(b.key, &s.trace))
	if !active { // the labels are left from a root that ended
		before = nil
	}
	return set, before
}

// activeRoot reports whether an active root gave the calling goroutine its labels, whose root label
// is root, and whether that root began on this goroutine. equal means that b has the same name.
func (l *labeller) activeRoot(b *beginning, root string, equal bool, stack uint32, now unsafe.Pointer) (active, same bool) {
	if root == "" {
		return false, false
	}
	active, distance := l.table.labelled(markOf(uintptr(now)), stack, l.variantOf(now, root))
	same = distance < nearby
	if !same && distance < maxReach && (equal || b.isInternal()) { // walking the stack takes a microsecond
		same = distance < stackReach()
	}
	// Roots of one name and epoch share label sets. An active root on another
	// goroutine does not tell whether a root that ended left these labels here.
	return active && (same || !equal), same
}

// variantOf returns which of the equal label sets of a root name the given set is, or -1
// if the set does not belong to the current epoch of that name.
func (l *labeller) variantOf(now unsafe.Pointer, root string) int {
	if name := l.names.byText.Load().find(root); name != nil {
		if e := name.labels.current.Load(); e != nil {
			return e.block.index(now)
		}
	}
	return -1
}

// beginUnread is begin for a runtime whose labels cannot be read. It assumes that the
// goroutine has the labels of the context.
func (l *labeller) beginUnread(ctx context.Context, e *epochLabels, s *slot) (set, before context.Context) {
	s.label = 1 // not 0
	if root, foreign := splitLabels(ctx); root == "" && len(foreign) == 0 {
		return e.ctx, nil
	}
	return pprof.WithLabels(ctx, e.set), ctx
}

// splitLabels returns the root label of a context, and the keys and values of the
// application's labels.
func splitLabels(ctx context.Context) (root string, foreign []string) {
	pprof.ForLabels(ctx, func(key, value string) bool {
		switch key {
		case RootLabel:
			root = value
		case EpochLabel:
		default:
			foreign = append(foreign, key, value)
		}
		return true
	})
	return root, foreign
}

// isInternal reports whether the root neither serves nor makes a request.
func (b *beginning) isInternal() bool {
	switch b.spanKind() {
	case trace.SpanKindServer, trace.SpanKindConsumer, trace.SpanKindClient, trace.SpanKindProducer:
		return false
	default:
		return true
	}
}

// lostContext reports whether a root that begins inside an active one is part of it:
// the caller had no context to pass. same means that the active root began on this
// goroutine, otherwise on one that this goroutine descends from. The context is not
// lost if the root serves a request, or if it was started as a new root on purpose
// (its context has a span).
func (b *beginning) lostContext(same bool) bool {
	if trace.SpanContextFromContext(b.ctx).IsValid() {
		return false
	}
	switch b.spanKind() {
	case trace.SpanKindServer, trace.SpanKindConsumer:
		return false
	case trace.SpanKindClient, trace.SpanKindProducer:
		return true
	default:
		return same
	}
}

// end restores the labels of the calling goroutine, which ends a root, if it is the
// goroutine that began the root.
func (l *labeller) end(e *ending) {
	if e.label == 0 || !l.has(e.label) || !near(e.stack, stackAddress()) {
		return
	}
	before := e.before
	if before == nil {
		before = context.Background()
	}
	pprof.SetGoroutineLabels(before)
}

// has reports whether the calling goroutine has the label set with a mark. It reports
// true if labels cannot be read.
func (l *labeller) has(label uint32) bool {
	return l.reader == nil || markOf(uintptr(runtimeLabels())) == label
}

// hasName reports whether the calling goroutine has the labels of a root name. It
// reports true if labels cannot be read.
func (l *labeller) hasName(name *rootName) bool {
	if l.reader == nil {
		return true
	}
	now := runtimeLabels()
	if e := name.labels.current.Load(); e != nil && e.block.contains(now) {
		return true
	}
	root, _ := splitLabels(l.reader.context(now))
	return root == name.labels.value
}

// stackAddress returns the lower half of an address in the stack frame of the calling
// goroutine.
//
//go:noinline
func stackAddress() uint32 {
	var mark byte
	return uint32(uintptr(unsafe.Pointer(&mark)))
}

// near reports whether two stack addresses belong to one goroutine. Start and End of a
// span are called at about the same stack depth, so on one goroutine the addresses are
// close. On two goroutines they are at least the rest of a stack apart. If the
// stack moved in between because it grew, near reports false; then the labels stay
// until the next root begins on the goroutine.
func near(a, b uint32) bool { return a-b < nearby || b-a < nearby }

const (
	nearby    = 2048 // the smallest stack; Start and End differ by less
	maxFrames = 64   // that stackReach counts
	perFrame  = 512
	maxReach  = maxFrames * perFrame
)

// stackReach returns an upper bound, in bytes, of the distance to the stack address of a
// root that began earlier on the calling goroutine, from the number of stack frames. The
// frames of the start itself do not count, because they belong to both addresses. A
// tight bound matters: stacks of 4 KB may be adjacent.
func stackReach() uint32 {
	const startFrames = 6 // stackReach, activeRoot, begin, add and at least two callers
	var frames [maxFrames]uintptr
	return uint32(max(0, runtime.Callers(1, frames[:])-startFrames)) * perFrame
}
