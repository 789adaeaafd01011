// SPDX-License-Identifier: Apache-2.0

// Package kit has what the programs of the corpus share: the world that a program
// runs in, the load on it, and the record of what the agent reported.
package kit

import (
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// Spans is how a program uses OpenTelemetry.
type Spans int

// The ways to use OpenTelemetry.
const (
	Global  Spans = iota // an SDK TracerProvider is set globally
	None                 // no TracerProvider at all
	Private              // a provider that only the program has, with Agent.SpanProcessor registered
)

func (s Spans) String() string { return [...]string{"global", "none", "private"}[s] }

// Program is one program of the corpus.
type Program struct {
	// Name is the argument that runs the program.
	Name string
	// Library is the import path of what the program shows, without a host where that is clear.
	Library string
	// Spans is the TracerProvider that the program has.
	Spans Spans
	// Want is the verdict that is right, nil for a benign program.
	Want *Want
	// Long makes a leaking program run for the whole time. Others run for half of it.
	Long bool
	// Skip returns why the program cannot run here, or "". It may be nil.
	Skip func() string
	// Run starts the program. It may return at once or block until w.Ctx ends.
	Run func(w *World)
	// Roles are processes beside the program, such as a broker or clients, by name.
	Roles map[string]func(r *Role)
}

// Want is the verdict that a leaking or hanging program must get.
type Want struct {
	// Kinds are the kinds that are right.
	Kinds []goroutines.Kind
	// Functions are substrings of which one must be in the place of the verdict:
	// its site, its entry function or the line that creates its goroutines.
	Functions []string
	// Root is the root span that the goroutines are created under, "" without one.
	Root string
}

// Leak wants a leak under root at one of the functions.
func Leak(root string, functions ...string) *Want {
	return &Want{Kinds: []goroutines.Kind{goroutines.Leak, goroutines.LeakProven}, Functions: functions, Root: root}
}

// Hang wants goroutines reported as stuck under root at one of the functions.
// Without a root span a hang looks like a leak, and either is right.
func Hang(root string, functions ...string) *Want {
	kinds := []goroutines.Kind{goroutines.Stuck, goroutines.LeakProven}
	if root == "" {
		kinds = append(kinds, goroutines.Leak)
	}
	return &Want{Kinds: kinds, Functions: functions, Root: root}
}

// Length returns how long the program runs of the time asked for.
func (p *Program) Length(asked time.Duration) time.Duration {
	if p.Want != nil && !p.Long {
		return asked / 2
	}
	return asked
}
