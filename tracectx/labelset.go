// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"reflect"
	"runtime/pprof"
	"unsafe"
)

// A labelReader reads the profiler labels of the calling goroutine. Package
// runtime/pprof sets them and has no function that returns them, and a context may
// have other labels than the goroutine. The reader gets the address of the
// goroutine's label set from the runtime (see runtimeLabels) and does not interpret the
// memory: it passes the address back to runtime/pprof in a context.
type labelReader struct {
	key any          // the context key that runtime/pprof uses
	typ reflect.Type // of a label set
}

// newLabelReader returns nil if labels cannot be read. It tests its assumptions,
// because a later runtime/pprof may work differently.
func newLabelReader() *labelReader {
	if !canReadLabels {
		return nil
	}
	r := &labelReader{}
	pprof.Label(&keyCatcher{context.Background(), &r.key}, RootLabel)
	labelled := pprof.WithLabels(context.Background(), pprof.Labels(RootLabel, ""))
	set := reflect.ValueOf(labelled.Value(r.key))
	if r.key == nil || set.Kind() != reflect.Pointer {
		return nil
	}
	r.typ = set.Type().Elem()
	before := runtimeLabels()
	pprof.SetGoroutineLabels(labelled)
	got := runtimeLabels()
	pprof.SetGoroutineLabels(r.context(before))
	if got != set.UnsafePointer() || runtimeLabels() != before {
		return nil
	}
	return r
}

// keyCatcher is a context that records the key of the last lookup.
type keyCatcher struct {
	context.Context //nolint:containedctx // it is a context

	key *any
}

func (c *keyCatcher) Value(key any) any {
	*c.key = key
	return nil
}

// labelContext is a context that contains labels only. It is passed to runtime/pprof
// alone, which looks up nothing else.
type labelContext struct {
	context.Context //nolint:containedctx // it is a context

	labels any
}

func (c *labelContext) Value(any) any { return c.labels }

// context returns a context with the label set at an address from runtimeLabels.
func (r *labelReader) context(labels unsafe.Pointer) context.Context {
	if labels == nil {
		return context.Background()
	}
	return &labelContext{context.Background(), reflect.NewAt(r.typ, labels).Interface()}
}

// mark returns the mark of the label set of a context.
func (r *labelReader) mark(ctx context.Context) uint32 {
	return markOf(reflect.ValueOf(ctx.Value(r.key)).Pointer())
}

// variants is the number of equal label sets for each root name and epoch. Spans use
// them in turn, so the address of a goroutine's label set identifies the span that set
// it, except that one in 16 spans of the same name and epoch uses the same set.
const variants = 16

// A labelBlock is an array of equal label sets.
type labelBlock struct {
	contexts [variants]labelContext
	base     uintptr // address of the first set
	size     uintptr // of a set
}

// block returns copies of the label set of ctx.
func (r *labelReader) block(ctx context.Context) *labelBlock {
	sets := reflect.MakeSlice(reflect.SliceOf(r.typ), variants, variants)
	set := reflect.ValueOf(ctx.Value(r.key)).Elem()
	b := &labelBlock{base: sets.Pointer(), size: r.typ.Size()}
	for i := range b.contexts {
		sets.Index(i).Set(set)
		b.contexts[i] = labelContext{context.Background(), sets.Index(i).Addr().Interface()}
	}
	return b
}

// contains reports whether a label set belongs to the block.
func (b *labelBlock) contains(labels unsafe.Pointer) bool { return b.index(labels) >= 0 }

// index returns which of the sets of the block a label set is, or -1.
func (b *labelBlock) index(labels unsafe.Pointer) int {
	offset := uintptr(labels) - b.base
	if offset >= variants*b.size {
		return -1
	}
	return int(offset / b.size)
}

// variant returns a label set of the block, as a context, and its mark.
func (b *labelBlock) variant(i int) (ctx context.Context, mark uint32) {
	return &b.contexts[i], markOf(b.base + uintptr(i)*b.size)
}

// markOf shortens the address of a label set. Sets are at least 8 bytes apart, so two
// with the same mark are 32 GB apart. 0 means no labels.
func markOf(labels uintptr) uint32 { return uint32(labels >> 3) }
