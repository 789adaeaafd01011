// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/gmpulse/gmpulse/benchmarks/leaks/watch"
)

// table summarises the runs.
type table struct{ runs []*run }

// rule is one way to detect leaks. flagged returns the groups that the rule flags in a
// run, and whether it raises an alarm; some rules raise an alarm without naming a group.
type rule struct {
	name    string
	flagged func(r *result) (keys []string, any bool)
}

func rules() []rule {
	return []rule{
		{"gmpulse", func(r *result) (keys []string, any bool) {
			for _, v := range r.Suspects() {
				keys = append(append(keys, v.Key), v.Also...)
			}
			slices.Sort(keys)
			keys = slices.Compact(keys)
			return keys, len(keys) > 0
		}},
		{"holmes: 20 % above the mean of ten samples", func(r *result) ([]string, bool) { return nil, r.Holmes }},
		{"monigo: five increases in a row", func(r *result) ([]string, bool) { return r.Rising, len(r.Rising) > 0 }},
		{"goleak: present at the end", func(r *result) ([]string, bool) { return r.Left, len(r.Left) > 0 }},
		{"goroutineleak profile, twice", func(r *result) ([]string, bool) { return r.Proven, len(r.Proven) > 0 }},
	}
}

func (t *table) print(w io.Writer, verbose bool) {
	fmt.Fprintf(w, "%s, %s/%s, %d CPUs\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Fprintln(w, "| rule | leaking programs found | leaking groups named | drained groups flagged | benign workloads flagged |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- |")
	for _, rule := range rules() {
		fmt.Fprintln(w, t.row(rule))
	}
	fmt.Fprintln(w)
	t.printKinds(w)
	t.printLines(w)
	if verbose {
		t.printMisses(w)
	}
}

// row returns the results of one rule as a row of the table.
func (t *table) row(rule rule) string {
	var programs, leaking, named, groups, drained, benign, benigns int
	for _, r := range t.runs {
		if r.err != nil {
			continue
		}
		keys, any := rule.flagged(&r.result)
		switch {
		case r.benign:
			benigns++
			if any {
				benign++
			}
			continue
		case len(r.result.Truth) == 0:
		default:
			leaking++
			if any {
				programs++
			}
		}
		groups += len(r.result.Truth)
		for _, k := range keys {
			if slices.ContainsFunc(r.result.Truth, func(f watch.Finding) bool { return f.Key == k }) {
				named++
			} else {
				drained++
			}
		}
	}
	return fmt.Sprintf("| %s | %d of %d | %d of %d | %d | %d of %d |", rule.name, programs, leaking, named, groups, drained, benign, benigns)
}

// printKinds prints how many kinds gmpulse reported at the right function, and how
// many under the right root span.
func (t *table) printKinds(w io.Writer) {
	var kinds, functions, roots int
	for _, r := range t.runs {
		if r.kind == nil {
			continue
		}
		kinds++
		function, root := r.reported()
		if function {
			functions++
		}
		if root {
			roots++
		}
	}
	fmt.Fprintf(w, "Kinds: %d of %d reported at the right function, %d of %d under the right root span.\n", functions, kinds, roots, kinds)
}

// printLines prints for how many of the leaking programs a verdict has a line of the
// program itself: where its goroutines wait, or where it creates them.
func (t *table) printLines(w io.Writer) {
	var found, shown int
	for _, r := range t.runs {
		suspects := r.result.Suspects()
		if r.err != nil || r.benign || len(r.result.Truth) == 0 || len(suspects) == 0 {
			continue
		}
		found++
		if slices.ContainsFunc(suspects, func(f watch.Finding) bool { return slices.ContainsFunc(f.Application, ofProgram) }) {
			shown++
		}
	}
	fmt.Fprintf(w, "The verdict has a line of the application in %d of the %d leaking programs that gmpulse found.\n", shown, found)
}

// ofProgram reports whether a function belongs to the measured program, and not to
// the standard library or to the loop that repeats the program.
func ofProgram(function string) bool {
	return strings.HasPrefix(function, "main.") && function != "main.main"
}

// reported reports whether a suspect verdict has the kind's function, and whether it
// has the kind's root span.
func (r *run) reported() (function, root bool) {
	for _, v := range r.result.Suspects() {
		if !strings.Contains(v.Key, r.kind.mark) {
			continue
		}
		if file := filepath.Base(v.File); !r.kind.lib && strings.Contains(v.Function, r.kind.mark) && (file != "kinds.go" || v.Line == 0) && v.Kind != "running" {
			continue
		}
		function = true
		root = root || v.Root == rootOf(*r.kind)
	}
	return function, root
}

// passed reports whether gmpulse reported each kind at the right function and root
// span, and flagged no benign workload.
func (t *table) passed() bool {
	for _, r := range t.runs {
		if r.err != nil || r.benign && len(r.result.Suspects()) > 0 {
			return false
		}
		if r.kind != nil {
			if function, root := r.reported(); !function || !root {
				return false
			}
		}
	}
	return true
}

func (t *table) printMisses(w io.Writer) {
	fmt.Fprintln(w)
	for _, r := range t.runs {
		switch {
		case r.err != nil:
			fmt.Fprintf(w, "%s: %v\n", r.name, r.err)
		case r.benign:
			for _, v := range r.result.Suspects() {
				fmt.Fprintf(w, "%s: flagged %s %s (%d, under %s)\n", r.name, v.Kind, v.Key, v.Count, v.Root)
			}
		case len(r.result.Truth) > 0 && len(r.result.Suspects()) == 0:
			fmt.Fprintf(w, "%s: none of %d groups found: %v\n", r.name, len(r.result.Truth), r.result.Truth)
		case r.kind != nil:
			if function, root := r.reported(); !function || !root {
				fmt.Fprintf(w, "%s: right function %v, right root span %v: %v\n", r.name, function, root, r.result.Suspects())
			}
		}
		for _, v := range r.result.Suspects() {
			if !r.benign && !slices.ContainsFunc(r.result.Truth, func(f watch.Finding) bool { return f.Key == v.Key }) {
				fmt.Fprintf(w, "%s: drained, but flagged %s %s (%d)\n", r.name, v.Kind, v.Key, v.Count)
			}
		}
	}
}
