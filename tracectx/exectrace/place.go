// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"strconv"
	"strings"

	"golang.org/x/exp/trace"
)

// places remembers what stacks say: a trace has many events and few stacks.
type places struct {
	sites map[trace.Stack]string
	syncs map[trace.Stack]Cause
}

func newPlaces() places {
	return places{sites: map[trace.Stack]string{}, syncs: map[trace.Stack]Cause{}}
}

// site returns the innermost place of a stack that is not the runtime's: "pkg.Func:12".
func (p *places) site(s trace.Stack) string {
	site, ok := p.sites[s]
	if !ok {
		site = siteOf(s)
		p.sites[s] = site
	}
	return site
}

func siteOf(s trace.Stack) (site string) {
	for f := range s.Frames() {
		if !strings.HasPrefix(f.Func, "runtime.") && !strings.HasPrefix(f.Func, "internal/") && !strings.HasPrefix(f.Func, "sync.") {
			return f.Func + ":" + strconv.FormatUint(f.Line, 10)
		}
		site = f.Func // outermost, if all are the runtime's
	}
	return site
}

// sync returns what a stack that blocks in package sync waits for.
func (p *places) sync(s trace.Stack) Cause {
	c, ok := p.syncs[s]
	if !ok {
		c = syncCause(s)
		p.syncs[s] = c
	}
	return c
}

// syncCause goes by the outermost frame of package sync before anybody else's: an
// RWMutex and a Once have a Mutex inside.
func syncCause(s trace.Stack) Cause {
	found := Other
	for f := range s.Frames() {
		if c, ok := syncOf(f.Func); ok {
			found = c
			continue
		}
		if !strings.HasPrefix(f.Func, "runtime.") && !strings.HasPrefix(f.Func, "sync.") && !strings.HasPrefix(f.Func, "internal/") {
			break
		}
	}
	return found
}

// beganInRuntime tells a goroutine of the runtime's own, which a worker of the
// collector is under whichever goroutine caused the first collection.
func beganInRuntime(s trace.Stack) bool {
	var entry string
	for f := range s.Frames() {
		entry = f.Func
	}
	return strings.HasPrefix(entry, "runtime.") && entry != "runtime.main"
}
