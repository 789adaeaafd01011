// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"cmp"
	"path"
	"strconv"
	"strings"
)

// Site is a place in the code. The zero value is an unknown place.
type Site struct {
	Function string // fully qualified; type arguments are shapes ("[go.shape.int]"), not "[...]" as in a traceback
	File     string // as the compiler recorded it: usually an absolute path
	Line     int    // 0 if the line does not matter
}

// String returns "pkg.Func (file.go:12)". It removes the linker's escapes from Function,
// replaces type arguments by "[...]" and shortens names of more than 120 bytes. The zero
// value is "unknown".
func (s Site) String() string {
	function := readable(s.Function)
	if s.File == "" {
		return function
	}
	file := path.Base(s.File) // the compiler writes slashes on every system
	if s.Line > 0 {
		file += ":" + strconv.Itoa(s.Line)
	}
	return function + " (" + file + ")"
}

func (s Site) compare(t Site) int {
	return cmp.Or(
		strings.Compare(s.Function, t.Function),
		strings.Compare(s.File, t.File),
		cmp.Compare(s.Line, t.Line),
	)
}

// Key identifies a group: its goroutines wait for the same kind of event, at the same place,
// and began in the same function. It is comparable, and equal in all surveys of one process.
// The frames between Site and Entry do not count: they would split one leak into many groups.
type Key struct {
	Class WaitClass
	// Site is the frame in which the goroutines wait: the first one outside the standard
	// library, or a frame of a standard package that names what is waited for, such as
	// net/http or database/sql. For running goroutines it is the entry, without a line.
	Site Site
	// Entry is the function that the goroutines were started with. Package sync and errgroup
	// are skipped, because all their goroutines begin alike. Entry is empty for a stack
	// deeper than the profiler records (128 frames). A goroutine that has not run yet may
	// show the compiler's name for a go statement with arguments ("main.main.gowrap1").
	Entry string
}

// String returns "chan send at pkg.Func (file.go:12) of pkg.Entry", with names as in
// [Site.String].
func (k Key) String() string {
	s := k.Class.String() + " at " + k.Site.String()
	if k.Entry == "" {
		return s
	}
	return s + " of " + readable(k.Entry)
}

// traceKey returns the key with "[...]" for type arguments, as in an execution trace.
func (k Key) traceKey() Key {
	k.Site.Function, k.Entry = traceName(k.Site.Function), traceName(k.Entry)
	return k
}

func (k Key) compare(l Key) int {
	return cmp.Or(
		cmp.Compare(k.Class, l.Class),
		k.Site.compare(l.Site),
		strings.Compare(k.Entry, l.Entry),
	)
}

// Origin counts the goroutines of a group that carry one pair of label values. An empty
// value is an absent label. A goroutine inherits its labels: they identify the request under
// which it was created, not the request it works for.
type Origin struct {
	Root  string // value of SurveyConfig.RootLabel
	Epoch string // value of SurveyConfig.EpochLabel
	Count int
}

func (o Origin) compare(p Origin) int {
	return cmp.Or(
		cmp.Compare(p.Count, o.Count),
		strings.Compare(o.Epoch, p.Epoch),
		strings.Compare(o.Root, p.Root),
	)
}

// Group is the goroutines with one Key.
type Group struct {
	Key
	Count int
	// Origins are the most frequent ones, at most 256, largest first.
	Origins []Origin
	// Stack is the stack of one member, leaf first, including frames of the runtime. If it
	// has more than 48 frames, Stack holds the 47 nearest the leaf and the outermost.
	Stack []Site
}

// labelled reports whether at least half of the members were created under a span.
func (g *Group) labelled() bool {
	n := 0
	for _, o := range g.Origins {
		if o.Root != "" {
			n += o.Count
		}
	}
	return 2*n >= g.Count
}
