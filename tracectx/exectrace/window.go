// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// Window is what a recording tells about the whole process.
type Window struct {
	// Start is the wall clock time of the first event, zero if the trace has no clock
	// (before Go 1.25).
	Start    time.Time
	Duration time.Duration
	Events   int

	// Busy is the time in which each processor (P) of the scheduler ran goroutines, by its
	// id. Processors that ran none are absent.
	Busy map[int]time.Duration
	// QueueMean and QueueMax are the average and the highest number of goroutines that were
	// runnable without a processor.
	QueueMean float64
	QueueMax  int
	// Waits is how often a runnable goroutine waited for a processor. WaitP50 and WaitP99 are
	// the median and the 99th percentile of these waits, rounded up to a power of two
	// nanoseconds.
	Waits            int
	WaitP50, WaitP99 time.Duration
	// STW is the time for which the world was stopped, and Mark the time for which the
	// garbage collector was marking.
	STW, Mark time.Duration

	// Roots has the sums of the local root spans that began and ended in the window,
	// by name, the largest Duration first. Names beyond 100 count as "other".
	Roots []RootWindow
	// Spans is the number of all spans that began and ended in the window. The
	// window has no exact data on Open spans, which had not ended, and Beginless
	// spans, which began before it.
	Spans, Open, Beginless int
	// Slowest has the longest local root spans that began and ended in the window, at
	// most 8.
	Slowest []*Breakdown
}

// RootWindow has the sums of the local root spans of one name.
type RootWindow struct {
	Name         string
	Spans        int
	Duration     time.Duration
	Longest      time.Duration
	Self, Others Parts
}

const (
	maxRoots   = 100
	otherRoot  = "other"
	maxSlowest = 8
)

// roots adds up root spans by name.
type roots map[string]*RootWindow

// of returns the sums of a name.
func (r roots) of(name string) *RootWindow {
	if r[name] == nil && len(r) >= maxRoots {
		name = otherRoot
	}
	if r[name] == nil {
		r[name] = &RootWindow{Name: name}
	}
	return r[name]
}

func (r roots) add(b *Breakdown) {
	w := r.of(b.Name)
	w.Spans++
	w.Duration += b.Duration
	w.Longest = max(w.Longest, b.Duration)
	w.Self.add(&b.Self)
	w.Others.add(&b.Others)
}

// sorted returns the sums, the longest first.
func (r roots) sorted() []RootWindow {
	all := make([]RootWindow, 0, len(r))
	for _, w := range r {
		all = append(all, *w)
	}
	sort.Slice(all, func(i, j int) bool {
		return cmp.Or(cmp.Compare(all[j].Duration, all[i].Duration), cmp.Compare(all[i].Name, all[j].Name)) < 0
	})
	return all
}

// addSlowest adds a root to Slowest if it is one of the slowest.
func (w *Window) addSlowest(b *Breakdown) {
	i, _ := slices.BinarySearchFunc(w.Slowest, b, func(x, y *Breakdown) int { return cmp.Compare(y.Duration, x.Duration) })
	w.Slowest = slices.Insert(w.Slowest, i, b)
	w.Slowest = w.Slowest[:min(len(w.Slowest), maxSlowest)]
}
