// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"runtime"
	"runtime/pprof"
	"sync"
	"unsafe"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A labeller sets labels on goroutines that begin local roots and takes them off
// those goroutines again.
//
// What it takes off must be what it has set: a span may end on another goroutine,
// which has labels of its own. So at the end it compares the address of the
// goroutine's label set with that of the set that it used, and where the stack is.
// Both must agree. The stack tells a goroutine from those that it started, which carry
// the same set; the set tells it from a later one on the same stack.
type labeller struct {
	off    bool
	reader *labelReader // nil where labels cannot be read
	table  *table

	saved [16]savedLabels // by key
}

// savedLabels are what to restore, for roots that began under labels.
type savedLabels struct {
	mu   sync.Mutex
	ctxs map[uint64]context.Context
}

// maxSaved bounds the contexts kept for restoring, in each of the parts. Beyond it
// goroutines keep their labels until they begin another root.
const maxSaved = 512

// A labelling is what a root does to the labels of the goroutine that begins it.
type labelling struct {
	set    context.Context //nolint:containedctx // the labels to set; nil: leave them
	before context.Context //nolint:containedctx // the labels to restore at the end; nil: none
}

// A beginning is a root that begins, as a labeller needs to know it.
type beginning struct {
	ctx  context.Context //nolint:containedctx // what the root was begun with
	key  uint64
	span sdktrace.ReadWriteSpan // nil if no processor is to see it
	kind trace.SpanKind         // then
}

// begin decides on the labels of the calling goroutine, which has some and begins the
// root s, and notes in s what its end must know. It sets nothing yet.
func (l *labeller) begin(b *beginning, e *epochLabels, s *slot) labelling {
	if l.reader == nil {
		return l.beginBlindly(b.ctx, e, s)
	}
	now := runtimeLabels()
	if e.block.has(now) {
		return labelling{} // from a root of the same name, or inherited from one
	}
	return l.beginUnder(now, b, e, s)
}

// beginUnder is begin on a goroutine that has labels.
func (l *labeller) beginUnder(now unsafe.Pointer, b *beginning, e *epochLabels, s *slot) labelling {
	before := l.reader.context(now)
	root, foreign := contents(before)
	active, same := false, false
	if root != "" {
		active, same = l.table.runs(markOf(uintptr(now)), s.stack, reach())
		// Roots of one name and epoch share their labels: an active one elsewhere does not
		// tell whether these were left behind by a root that ended here.
		active = active && (same || root != e.value)
	}
	switch {
	case active && root == e.value: // one of several on this goroutine
		return labelling{}
	case active && b.isLost(same):
		s.flags |= inner
		return labelling{}
	}
	if len(foreign) > 0 {
		if root != "" && !active {
			before = pprof.WithLabels(context.Background(), pprof.Labels(foreign...))
		}
		merged := pprof.WithLabels(before, e.set)
		s.label = markOf(l.reader.address(merged))
		s.flags |= saved
		return labelling{merged, before}
	}
	v := variantOf(b.key)
	s.label = e.block.mark(v)
	if !active { // left behind by a root that ended elsewhere, or whose stack moved
		return labelling{set: &e.block.contexts[v]}
	}
	s.flags |= saved
	return labelling{&e.block.contexts[v], before}
}

// beginBlindly is begin where the labels of a goroutine cannot be read: those of the
// context stand for them.
func (l *labeller) beginBlindly(ctx context.Context, e *epochLabels, s *slot) labelling {
	s.label = 1 // any but zero
	if !labelled(ctx) {
		return labelling{set: e.ctx}
	}
	s.flags |= saved
	return labelling{pprof.WithLabels(ctx, e.set), ctx}
}

// contents returns the root label of a context, and the keys and values of its labels
// that are not ours.
func contents(ctx context.Context) (root string, foreign []string) {
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

// isLost reports whether the root begins inside an active one by mistake: the caller
// had no context to pass on, and made a new one. same is whether the other began on
// this goroutine; else it began on one that this goroutine comes from. It is no
// mistake if the root answers to somebody outside, or if its context has a span that
// it was told not to be a child of.
func (b *beginning) isLost(same bool) bool {
	if trace.SpanContextFromContext(b.ctx).IsValid() {
		return false
	}
	switch kind := b.kindOf(); kind {
	case trace.SpanKindServer, trace.SpanKindConsumer:
		return false
	case trace.SpanKindClient, trace.SpanKindProducer:
		return true
	default:
		return same
	}
}

// kindOf returns the root's kind. The span may be of any type, and nobody asks it for
// its kind but in the rare case that its goroutine has labels.
func (b *beginning) kindOf() (kind trace.SpanKind) {
	if b.span == nil {
		return b.kind
	}
	defer func() {
		if recover() != nil {
			kind = trace.SpanKindUnspecified
		}
	}()
	return b.span.SpanKind()
}

// apply sets the labels of the calling goroutine, which has begun a root.
func (l *labeller) apply(key uint64, x labelling) {
	if x.set == nil {
		return
	}
	pprof.SetGoroutineLabels(x.set)
	if x.before != nil {
		l.save(key, x.before)
	}
}

// save keeps what to restore at the end of a root.
func (l *labeller) save(key uint64, before context.Context) {
	p := &l.saved[key%uint64(len(l.saved))]
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ctxs) >= maxSaved {
		return
	}
	if p.ctxs == nil {
		p.ctxs = map[uint64]context.Context{}
	}
	p.ctxs[key] = before //nolint:fatcontext // its labels only, bounded, and let go at the end of the root
}

// end restores the labels of before, if the goroutine that ends the root is the one
// that began it.
func (l *labeller) end(key uint64, e *ending) {
	before := context.Background()
	if e.flags.has(saved) {
		if before = l.forget(key); before == nil {
			return
		}
	}
	if e.label != 0 && l.has(e.label) && near(e.stack, here()) {
		pprof.SetGoroutineLabels(before)
	}
}

// has reports whether the calling goroutine has the labels with a mark.
func (l *labeller) has(label uint32) bool {
	return l.reader == nil || markOf(uintptr(runtimeLabels())) == label
}

// forget returns what was kept for a root, once.
func (l *labeller) forget(key uint64) context.Context {
	p := &l.saved[key%uint64(len(l.saved))]
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx := p.ctxs[key]
	delete(p.ctxs, key)
	return ctx
}

// peek returns what is kept for a root, or nil.
func (l *labeller) peek(key uint64) context.Context {
	p := &l.saved[key%uint64(len(l.saved))]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ctxs[key]
}

// forgetAll lets go of all contexts: what began under them will not be seen to end.
func (l *labeller) forgetAll() {
	for i := range l.saved {
		p := &l.saved[i]
		p.mu.Lock()
		clear(p.ctxs)
		p.mu.Unlock()
	}
}

// carries reports whether the calling goroutine has the labels of a root name, or they
// cannot be read.
func (l *labeller) carries(name *rootName) bool {
	if l.reader == nil {
		return true
	}
	now := runtimeLabels()
	if e := name.labels.current.Load(); e != nil && e.block.has(now) {
		return true
	}
	root, _ := contents(l.reader.context(now))
	return root == name.labels.value
}

// labelled reports whether a context carries labels.
func labelled(ctx context.Context) (has bool) {
	pprof.ForLabels(ctx, func(string, string) bool {
		has = true
		return false
	})
	return has
}

// here returns the lower half of an address in the calling goroutine's stack frame. It
// is compared and never followed.
//
//go:noinline
func here() uint32 {
	var mark byte
	return uint32(uintptr(unsafe.Pointer(&mark)))
}

// near reports whether two such addresses are of one goroutine. A goroutine has no
// identity that a library may read, but it has a stack of its own: Start and End
// are called from about the same depth, so their frames are close together, while
// those of another goroutine are at least the rest of a stack away. The error is
// on the safe side: a stack that has moved in between (it grew) looks like
// another goroutine, and then the labels stay until the next root begins there.
func near(a, b uint32) bool {
	const frame = 2048 // the smallest stack, and more than Start and End differ by
	return a-b < frame || b-a < frame
}

// reach returns how far up the stack of the calling goroutine reaches at most, in
// bytes, by the number of its frames.
func reach() uint32 {
	const perFrame = 512
	var frames [64]uintptr
	return uint32(runtime.Callers(1, frames[:])) * perFrame
}
