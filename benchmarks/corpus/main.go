// SPDX-License-Identifier: Apache-2.0

// Corpus measures the verdicts on goroutines on programs over real libraries, each
// after a public pattern or report: benign ones, on which every alarm is a false one,
// and ones that leak or hang.
//
//	go -C benchmarks/corpus run .                  all but the held-out ones, ten minutes each, eight at a time
//	go -C benchmarks/corpus run . -only 'nats|mqtt'  programs whose name or library matches
//	go -C benchmarks/corpus run -tags thin . -quick  two benign and two leaking ones, four minutes, what CI runs
//	go -C benchmarks/corpus run . -heldout         the held-out ones, for the rates that are published
//
// Each program runs in a process of its own, and its clients in others.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"time"

	"example.com/corpus/kit"
	"example.com/corpus/programs"
)

// entry is a program and the set that it is in.
type entry struct {
	kit.Program
	heldOut bool
}

func entries() []entry {
	var all []entry
	for _, p := range programs.All() {
		all = append(all, entry{p, false})
	}
	for _, p := range heldOutPrograms() {
		all = append(all, entry{p, true})
	}
	return all
}

func main() {
	kit.RunRole(slices.Concat(programs.All(), heldOutPrograms()))
	o := options{}
	only := flag.String("only", "", "a regular expression that name or library must match")
	flag.DurationVar(&o.length, "for", 10*time.Minute, "how long a benign program runs; leaking ones run for half of it")
	flag.IntVar(&o.jobs, "jobs", 8, "programs at a time")
	quick := flag.Bool("quick", false, "a thin sample; exit status 1 if it falls short")
	heldOut := flag.Bool("heldout", false, "the held-out programs instead of the others")
	flag.StringVar(&o.out, "out", "", "a folder to keep results and logs in")
	flag.BoolVar(&o.kept, "kept", false, "run nothing, and judge the results that the folder of -out has")
	asJSON := flag.Bool("json", false, "print the results as JSON instead of the table")
	list := flag.Bool("list", false, "print the programs and what they expect, and run none")
	result := flag.String("result", "", "run the program that the argument names in this process, and write its result to this file")
	flag.Parse()
	if *result != "" {
		fail(here(flag.Arg(0), o.length, *result))
		return
	}
	match, err := regexp.Compile("(?i)" + *only)
	fail(err)
	chosen := choose(match, *heldOut, *quick)
	if *list {
		printList(os.Stdout, chosen)
		return
	}
	if *quick {
		o.length, o.whole = quickLength, true
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	runs, err := measure(ctx, chosen, o)
	fail(err)
	if *asJSON {
		fail(printJSON(os.Stdout, runs))
	} else {
		printTable(os.Stdout, runs)
	}
	if *quick && !sound(runs) {
		os.Exit(1)
	}
}

// quickLength is how long a program of the thin sample runs: a leak is reported after
// some 160 s.
const quickLength = 210 * time.Second

// sample are the programs that CI runs.
func sample() []string {
	return []string{"pond-groups", "http-sse", "http-body", "leak-without-spans"}
}

// choose returns the programs to run.
func choose(match *regexp.Regexp, heldOut, quick bool) []entry {
	var chosen []entry
	for _, e := range entries() {
		switch {
		case quick && !slices.Contains(sample(), e.Name):
		case !quick && e.heldOut != heldOut:
		case !match.MatchString(e.Name) && !match.MatchString(e.Library):
		default:
			chosen = append(chosen, e)
		}
	}
	return chosen
}

// here runs one program in this process.
func here(name string, d time.Duration, result string) error {
	for _, e := range entries() {
		if e.Name == name {
			kit.RunProgram(&e.Program, d, result)
		}
	}
	return fmt.Errorf("there is no program %q", name)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
}
