// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"encoding/binary"
	"strings"

	"golang.org/x/exp/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// stackTable keeps each distinct stack of a trace once. A trace describes its
// stacks anew in each generation, so equal stacks have different handles there.
type stackTable struct {
	entries []stackEntry // the first is the empty stack
	handles map[trace.Stack]int32
	content map[string]int32
	key     []byte
}

// stackEntry is one distinct stack and its properties.
type stackEntry struct {
	sites  []goroutines.Site
	wait   waitKind
	system bool // of a goroutine of the runtime's own
}

func newStackTable() *stackTable {
	return &stackTable{
		entries: make([]stackEntry, 1),
		handles: map[trace.Stack]int32{},
		content: map[string]int32{"": 0},
	}
}

// forget drops the handles, which keep the tables of past generations in memory.
func (t *stackTable) forget() { clear(t.handles) }

// index returns the index of the entry of a stack, 0 for no stack.
func (t *stackTable) index(s trace.Stack) int32 {
	if s == trace.NoStack {
		return 0
	}
	i, ok := t.handles[s]
	if !ok {
		i = t.add(s)
		t.handles[s] = i
	}
	return i
}

func (t *stackTable) entry(s trace.Stack) *stackEntry { return &t.entries[t.index(s)] }

func (t *stackTable) add(s trace.Stack) int32 {
	t.key = t.key[:0]
	for f := range s.Frames() {
		t.key = binary.LittleEndian.AppendUint64(t.key, f.PC)
		t.key = binary.LittleEndian.AppendUint64(t.key, f.Line)
	}
	if i, ok := t.content[string(t.key)]; ok {
		return i
	}
	i := int32(len(t.entries))
	stack := sites(s)
	t.entries = append(t.entries, stackEntry{sites: stack, wait: kindOfStack(stack), system: isTracing(stack) || isSystem(stack)})
	t.content[string(t.key)] = i
	return i
}

// isTracing reports whether a stack belongs to the goroutine of package
// runtime/trace that reads the trace from the runtime.
func isTracing(stack []goroutines.Site) bool {
	return len(stack) > 0 && strings.HasPrefix(stack[len(stack)-1].Function, "runtime/trace.")
}

// waitKind distinguishes waits as far as wakeups depend on it.
type waitKind uint8

const (
	waitUnknown waitKind = iota
	waitNetwork          // for the network poller
	waitRuntime          // for the garbage collector or another part of the runtime
	waitOther
)

// kindOfStack returns the kind of wait that a stack shows.
func kindOfStack(stack []goroutines.Site) waitKind {
	const depth = 6 // deeper frames are the program's
	for i := range stack[:min(depth, len(stack))] {
		switch stack[i].Function {
		case "internal/poll.runtime_pollWait":
			return waitNetwork
		case "runtime.gcParkAssist", "runtime.gcAssistAlloc", "runtime.gcParkStrongFromWeak":
			return waitRuntime
		}
	}
	if len(stack) == 0 {
		return waitUnknown
	}
	return waitOther
}

// kindOfReason returns the kind of wait for a reason that the runtime gives.
func kindOfReason(reason string) waitKind {
	switch reason {
	case "network":
		return waitNetwork
	case "preempted", "GC mark assist wait for work", "GC background sweeper wait", "wait until GC ends",
		"GC weak to strong wait", "wait for debug call":
		return waitRuntime
	default:
		return waitOther
	}
}

// sites returns the frames of a stack, leaf first.
func sites(s trace.Stack) (stack []goroutines.Site) {
	for f := range s.Frames() {
		if f.Func == "runtime.goexit" { // below the entry; profiles leave it out
			continue
		}
		stack = append(stack, goroutines.Site{Function: f.Func, File: f.File, Line: int(f.Line)})
	}
	return stack
}

// isSystem reports whether a goroutine is the runtime's own, such as a worker of the
// garbage collector: it began in the runtime.
func isSystem(stack []goroutines.Site) bool {
	if len(stack) == 0 {
		return false
	}
	entry := stack[len(stack)-1].Function
	return strings.HasPrefix(entry, "runtime.") && entry != "runtime.main"
}
