// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"strconv"
	"strings"

	"golang.org/x/exp/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// A stackTable keeps the properties of the stacks of a trace. A trace has many events
// and few stacks. It describes its stacks again in each generation.
type stackTable struct {
	entries []stackEntry          // the first is the empty stack
	indexes map[trace.Stack]int32 // of this generation
	reasons map[string]Cause      // of waits
}

type stackEntry struct {
	sites  []goroutines.Site
	site   string // the innermost frame outside the runtime: "pkg.Func:12"
	wait   Cause  // of a goroutine that waits here, as far as the stack tells
	system bool   // of a goroutine of the runtime or of runtime/trace
}

func newStackTable() *stackTable {
	return &stackTable{
		entries: []stackEntry{{wait: Other}},
		indexes: map[trace.Stack]int32{},
		reasons: causesByReason(),
	}
}

// endGeneration drops the keys, which keep the tables of past generations in memory.
func (t *stackTable) endGeneration() { clear(t.indexes) }

// index returns the index of a stack's entry, 0 for no stack.
func (t *stackTable) index(s trace.Stack) int32 {
	if s == trace.NoStack {
		return 0
	}
	i, ok := t.indexes[s]
	if !ok {
		i = int32(len(t.entries))
		stack := sites(s)
		t.entries = append(t.entries, stackEntry{
			sites: stack, site: siteOf(stack), wait: causeOfStack(stack), system: isSystem(stack),
		})
		t.indexes[s] = i
	}
	return i
}

// entry returns the entry of a stack. It is valid until the next call.
func (t *stackTable) entry(s trace.Stack) *stackEntry { return &t.entries[t.index(s)] }

// sites returns the frames of a stack, innermost first.
func sites(s trace.Stack) (stack []goroutines.Site) {
	for f := range s.Frames() {
		if f.Func == "runtime.goexit" { // the caller of every entry function; profiles omit it
			continue
		}
		stack = append(stack, goroutines.Site{Function: f.Func, File: f.File, Line: int(f.Line)})
	}
	return stack
}

// isLibrary reports whether a function belongs to the runtime, package sync or an
// internal package.
func isLibrary(function string) bool {
	return strings.HasPrefix(function, "runtime.") || strings.HasPrefix(function, "sync.") || strings.HasPrefix(function, "internal/")
}

// siteOf returns the innermost frame outside those packages. If there is none, it
// returns the outermost function.
func siteOf(stack []goroutines.Site) (site string) {
	for i := range stack {
		if site = stack[i].Function; !isLibrary(site) {
			return site + ":" + strconv.Itoa(stack[i].Line)
		}
	}
	return site
}

// causeOfStack returns what a goroutine waits for, if it waits in package sync, for the network or for the
// garbage collector. Of several types of package sync it is the outermost, because an RWMutex and a Once
// contain a Mutex.
func causeOfStack(stack []goroutines.Site) Cause {
	found := Other
	for i := range stack {
		c, ok := causeOfFunction(stack[i].Function)
		if c == Network || c.byRuntime() {
			return c
		}
		if ok {
			found = c
		} else if !isLibrary(stack[i].Function) {
			break
		}
	}
	return found
}

// isSystem reports whether a goroutine belongs to the runtime, such as a worker of the
// garbage collector, or to runtime/trace: its entry function does. A worker of the
// collector is created by the goroutine that causes the first collection.
func isSystem(stack []goroutines.Site) bool {
	if len(stack) == 0 {
		return false
	}
	entry := stack[len(stack)-1].Function
	return strings.HasPrefix(entry, "runtime/trace.") || strings.HasPrefix(entry, "runtime.") && entry != "runtime.main"
}
