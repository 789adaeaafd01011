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
	Line     int    // 0 where the line does not matter
}

// String returns "pkg.Func (file.go:12)", for people: Function without the
// linker's escapes, with "[...]" for type arguments, and cut where it is longer
// than 120 bytes. The zero value reads "unknown".
func (s Site) String() string {
	function := readable(s.Function)
	if s.File == "" {
		return function
	}
	// Files have slashes on every system: they come from the compiler.
	place := path.Base(s.File)
	if s.Line > 0 {
		place += ":" + strconv.Itoa(s.Line)
	}
	return function + " (" + place + ")"
}

func (s Site) compare(t Site) int {
	return cmp.Or(
		strings.Compare(s.Function, t.Function),
		strings.Compare(s.File, t.File),
		cmp.Compare(s.Line, t.Line),
	)
}

// Key says which goroutines count as alike: they wait for the same kind of
// thing, at the same place, and began in the same function. It is comparable,
// and the same in every survey of one process. What lies between site and entry
// is left out: it would split one leak into many.
type Key struct {
	Class WaitClass
	// Site is the frame that [Classify] finds. Goroutines that run are at
	// another place each time one looks, so theirs is their entry, without a line.
	Site Site
	// Entry is the function that the goroutine was started with; the first that
	// is not of package sync or errgroup, whose goroutines all begin alike. Empty
	// for a stack deeper than the profiler records (128 frames). A goroutine that
	// has not run yet may show the compiler's name for a go statement with
	// arguments ("main.main.gowrap1").
	Entry string
}

// String returns "chan send at pkg.Func (file.go:12) of pkg.Entry", with names as
// [Site.String] writes them.
func (k Key) String() string {
	s := k.Class.String() + " at " + k.Site.String()
	if k.Entry == "" {
		return s
	}
	return s + " of " + readable(k.Entry)
}

// plain returns the key with "[...]" for type arguments, which is all that an
// execution trace tells of them.
func (k Key) plain() Key {
	k.Site.Function, k.Entry = withoutTypes(k.Site.Function), withoutTypes(k.Entry)
	return k
}

// withoutTypes does to a function's name what the runtime does for tracebacks.
func withoutTypes(function string) string {
	i, j := strings.IndexByte(function, '['), strings.LastIndexByte(function, ']')
	if i < 0 || j <= i {
		return function
	}
	return function[:i] + "[...]" + function[j+1:]
}

func (k Key) compare(l Key) int {
	return cmp.Or(
		cmp.Compare(k.Class, l.Class),
		k.Site.compare(l.Site),
		strings.Compare(k.Entry, l.Entry),
	)
}

// Birth counts the goroutines of a group that were started under one pair of
// label values; an empty value is an absent label. A label says under which
// request a goroutine was started, not for which it works.
type Birth struct {
	Root  string
	Epoch string
	Count int
}

func (b Birth) compare(c Birth) int {
	return cmp.Or(
		cmp.Compare(c.Count, b.Count),
		strings.Compare(b.Epoch, c.Epoch),
		strings.Compare(b.Root, c.Root),
	)
}

// Group is the goroutines with one Key.
type Group struct {
	Key
	Count int
	// Births are the most frequent ones, at most 256, the largest first.
	Births []Birth
	// OtherBirths is how many of Count are in none of Births: where labels have
	// so many values, the smallest are let go.
	OtherBirths int
	// Stack is that of one member, leaf first, with the runtime's frames. Of a
	// stack of more than 48 frames it has the 47 nearest the leaf and the outermost.
	Stack []Site
}

// labelled tells whether half of the members or more were created under a span.
func (g *Group) labelled() bool {
	n := 0
	for _, b := range g.Births {
		if b.Root != "" {
			n += b.Count
		}
	}
	return 2*n >= g.Count
}
