// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"cmp"
	"slices"
	"time"
)

// Window is what a recording says of the process as a whole.
type Window struct {
	// Start is the wall-clock time of its begin, zero where the recording does not
	// tell (before Go 1.25).
	Start    time.Time
	Duration time.Duration
	Events   int

	// Processors is for how long each had a goroutine running, by its number.
	Processors []Processor
	RunQueue   RunQueue
	// Latency is how long goroutines that were ready waited for a processor.
	Latency Latency
	// STW is how long the world stood still, Mark for how long the collector marked.
	STW, Mark time.Duration

	// Roots sums up the local root spans that began and ended in it, by name, the
	// longest in all first; beyond 100 names they are "other".
	Roots []RootWindow
	// Spans is how many spans began and ended in it, of all. Open had begun and not ended,
	// Beginless ended without a begin in the recording: there is no exact data on
	// those.
	Spans, Open, Beginless int
	// Slowest are the longest local root spans that began and ended in it, at most 8.
	Slowest []*Breakdown
}

// Processor is the P of the scheduler.
type Processor struct {
	ID   int
	Busy time.Duration
}

// RootWindow sums up the local root spans of one name.
type RootWindow struct {
	Name         string
	Spans        int
	Duration     time.Duration
	Longest      time.Duration
	Self, Others Parts
}

const (
	maxRoots  = 100
	otherRoot = "other"
)

// roots makes the sums by name.
type roots map[string]*RootWindow

func (r roots) add(b *Breakdown) {
	name := b.Name
	w := r[name]
	if w == nil && len(r) >= maxRoots {
		name = otherRoot
		w = r[name]
	}
	if w == nil {
		w = &RootWindow{Name: name}
		r[name] = w
	}
	w.Spans++
	w.Duration += b.Duration
	w.Longest = max(w.Longest, b.Duration)
	w.Self.add(&b.Self)
	w.Others.add(&b.Others)
}

func (r roots) result() []RootWindow {
	all := make([]RootWindow, 0, len(r))
	for _, w := range r {
		all = append(all, *w)
	}
	slices.SortFunc(all, func(x, y RootWindow) int {
		return cmp.Or(cmp.Compare(y.Duration, x.Duration), cmp.Compare(x.Name, y.Name))
	})
	return all
}

const maxSlowest = 8

// keep adds a root to the slowest, if it is one of them.
func (w *Window) keep(b *Breakdown) {
	if len(w.Slowest) == maxSlowest {
		if b.Duration <= w.Slowest[maxSlowest-1].Duration {
			return
		}
		w.Slowest = w.Slowest[:maxSlowest-1]
	}
	i, _ := slices.BinarySearchFunc(w.Slowest, b, func(x, y *Breakdown) int { return cmp.Compare(y.Duration, x.Duration) })
	w.Slowest = slices.Insert(w.Slowest, i, b)
}
