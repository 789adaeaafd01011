// SPDX-License-Identifier: Apache-2.0

package leaktest

import (
	"slices"
	"time"
)

// Option configures [Check] and [Main]. An Option can be used several times.
type Option func(*config)

// config is the result of the options.
type config struct {
	wait   time.Duration
	ignore []func(*goroutine) bool
	limit  int // bytes of stacks
}

func newConfig(options []Option) config {
	c := config{wait: 2 * time.Second, limit: maxDump}
	for _, option := range options {
		option(&c)
	}
	return c
}

// Wait sets how long goroutines may take to end after the test; the default is 2 s. Zero or less
// means no time. A test without leaks waits only until its goroutines have ended.
func Wait(d time.Duration) Option {
	return func(c *config) { c.wait = d }
}

// IgnoreEntry ignores goroutines that began in one of the functions, which is the last one in a
// stack trace, above "created by". Names are written as in stack traces, without arguments:
//
//	go.opencensus.io/stats/view.(*worker).start
//	example.com/shop.Start.func1
//	example.com/shop.each[...]
func IgnoreEntry(functions ...string) Option {
	return ignore(func(g *goroutine) bool { return slices.Contains(functions, g.entry()) })
}

// IgnoreFunction ignores goroutines with one of the functions anywhere in their stack. Names are
// written as for [IgnoreEntry]. The function that created a goroutine is not in its stack.
func IgnoreFunction(functions ...string) Option {
	return ignore(func(g *goroutine) bool {
		return slices.ContainsFunc(g.frames, func(f frame) bool { return slices.Contains(functions, f.function) })
	})
}

// IgnoreCurrent ignores the goroutines that exist when IgnoreCurrent is called, not when the Option
// is used. [Check] does so by itself; [Main] does not. It panics if the stacks of all goroutines
// exceed 256 MB.
func IgnoreCurrent() Option {
	current, err := dump(maxDump)
	if err != nil {
		panic("leaktest: " + err.Error())
	}
	ids := identities(current)
	return ignore(func(g *goroutine) bool { return ids[g.id] })
}

func ignore(matches func(*goroutine) bool) Option {
	return func(c *config) { c.ignore = append(c.ignore, matches) }
}

// ignores reports whether g is never reported.
func (c *config) ignores(g *goroutine) bool {
	return g.standard() || slices.ContainsFunc(c.ignore, func(matches func(*goroutine) bool) bool { return matches(g) })
}
