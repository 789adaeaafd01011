// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"reflect"
	"runtime/pprof"
	"unsafe"
)

// A labelReader knows which labels the calling goroutine has. Package runtime/pprof
// sets the labels of a goroutine and has no function that returns them, so what a
// context says need not be what the goroutine carries. The reader gets the address of
// the goroutine's label set from the runtime (see runtimeLabels) and never looks
// inside: it hands the address back to runtime/pprof, by way of a context.
type labelReader struct {
	key any          // under which runtime/pprof looks for labels in a context
	typ reflect.Type // of a set of labels
}

// newLabelReader returns nil where the runtime does not tell. It tries what it relies
// on: a future runtime/pprof may work differently.
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
	told := runtimeLabels()
	pprof.SetGoroutineLabels(r.context(before))
	if told != set.UnsafePointer() || runtimeLabels() != before {
		return nil
	}
	return r
}

// keyCatcher is a context that notes what it is asked for.
type keyCatcher struct {
	context.Context //nolint:containedctx // it is a context

	key *any
}

func (c *keyCatcher) Value(key any) any {
	*c.key = key
	return nil
}

// labelContext is a context of labels only. Nobody but runtime/pprof gets to see it,
// which asks a context for nothing but its labels.
type labelContext struct {
	context.Context //nolint:containedctx // it is a context

	labels any
}

func (c *labelContext) Value(any) any { return c.labels }

// context returns a context with the labels at an address that runtimeLabels returned.
func (r *labelReader) context(labels unsafe.Pointer) context.Context {
	if labels == nil {
		return context.Background()
	}
	return &labelContext{context.Background(), reflect.NewAt(r.typ, labels).Interface()}
}

// address returns the address of the labels of a context.
func (r *labelReader) address(ctx context.Context) uintptr {
	return reflect.ValueOf(ctx.Value(r.key)).Pointer()
}

// variants is how many equal label sets there are of each root name and epoch. Spans
// take turns: the address of a goroutine's label set then tells which of the spans
// in flight labelled it, except for one in so many of the same name and epoch.
const variants = 16

// A labelBlock is equal sets of labels side by side in memory.
type labelBlock struct {
	contexts [variants]labelContext
	base     uintptr // address of the first set
	size     uintptr // of a set
}

// block returns copies of the labels of ctx.
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

// has reports whether the labels at an address are of the block.
func (b *labelBlock) has(labels unsafe.Pointer) bool {
	return uintptr(labels)-b.base < variants*b.size
}

// mark returns what is kept of the address of variant i.
func (b *labelBlock) mark(i uint64) uint32 { return markOf(b.base + uintptr(i)*b.size) }

// markOf shortens an address of labels: sets are at least 8 bytes apart, so that two
// with one mark are 32 GB apart. Zero stands for none.
func markOf(labels uintptr) uint32 { return uint32(labels >> 3) }

// variantOf returns the variant that a span takes, by its id: of generators that
// count up as well as of random ones.
func variantOf(key uint64) uint64 { return (key ^ key>>56) % variants }
