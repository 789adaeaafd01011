// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"example.com/corpus/kit"
)

// printTable prints the benign programs, then the others, and the rates.
func printTable(w io.Writer, runs []*run) {
	fmt.Fprintf(w, "%s, %s/%s, %d CPUs\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Fprintln(w, "| program | library | spans | held out | alarms | false alarms | other alarms | peak | % of a core | passed |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, r := range runs {
		if j := judge(r); r.Want == nil {
			fmt.Fprintf(w, "| %s | %s | %v | %s | %s | %d | %d | %d | %.1f | %s |\n", r.Name, r.Library, r.Spans, yes(r.heldOut), j.cell(),
				j.falseAlarms, j.others, r.result.Peak, share(&r.result), j.mark())
		}
	}
	fmt.Fprintln(w, "\n| program | library | spans | held out | expected | alarms | place | kind | root | incidents | false alarms | other alarms | peak | passed |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, r := range runs {
		if j := judge(r); r.Want != nil {
			fmt.Fprintf(w, "| %s | %s | %v | %s | %s | %s | %s | %s | %s | %d | %d | %d | %d | %s |\n", r.Name, r.Library, r.Spans, yes(r.heldOut),
				expected(r.Want), j.cell(), yes(j.place), yes(j.kind), yes(j.root), j.incidents, j.falseAlarms, j.others, r.result.Peak, j.mark())
		}
	}
	fmt.Fprintln(w)
	printRates(w, runs)
}

// printRates sums up.
func printRates(w io.Writer, runs []*run) {
	var benign, silent, leaking, found, kind, root, one, clean, failed int
	for _, r := range runs {
		j := judge(r)
		switch {
		case r.skipped != "":
		case r.err != nil:
			failed++
		case r.Want == nil:
			benign++
			silent += one01(j.falseAlarms == 0)
		default:
			leaking++
			found += one01(j.place)
			kind += one01(j.place && j.kind)
			root += one01(j.place && j.root)
			one += one01(j.incidents == 1)
			clean += one01(j.falseAlarms == 0)
		}
	}
	fmt.Fprintf(w, "Benign programs without an alarm: %d of %d.\n", silent, benign)
	fmt.Fprintf(w, "Leaks and hangs: %d of %d found at the right place, %d of the right kind, %d under the right root span, %d as one incident, %d without an alarm elsewhere.\n",
		found, leaking, kind, root, one, clean)
	if failed > 0 {
		fmt.Fprintf(w, "%d programs failed to run.\n", failed)
	}
}

func one01(b bool) int {
	if b {
		return 1
	}
	return 0
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func share(r *kit.Result) float64 { return 100 * r.CPU / max(r.Seconds, 1) }

func (j *judgement) mark() string {
	switch {
	case j.run.skipped != "":
		return "skipped"
	case j.run.err != nil:
		return "failed"
	case j.passed():
		return "yes"
	default:
		return "**no**"
	}
}

// cell is what stands in the table of the alarms.
func (j *judgement) cell() string {
	switch {
	case j.run.skipped != "":
		return j.run.skipped
	case j.run.err != nil:
		return strings.ReplaceAll(j.run.err.Error(), "|", "/")
	default:
		return strings.ReplaceAll(j.said(), "|", "/")
	}
}

// expected describes the verdict that a program must get.
func expected(w *kit.Want) string {
	text := fmt.Sprintf("%s at `%s`", w.Kinds[0], strings.Join(w.Functions, "` or `"))
	if w.Root != "" {
		text += " under " + w.Root
	}
	return text
}

// printList prints what there is to run.
func printList(w io.Writer, chosen []entry) {
	for _, e := range chosen {
		want := "benign"
		if e.Want != nil {
			want = expected(e.Want)
		}
		fmt.Fprintf(w, "%-28s %-50s spans %-8v %-9s %s\n", e.Name, e.Library, e.Spans, map[bool]string{true: "held out"}[e.heldOut], want)
	}
}

// printJSON prints every run with its result.
func printJSON(w io.Writer, runs []*run) error {
	type row struct {
		Name, Library, Spans, Skipped, Failed string
		HeldOut, Benign, Passed               bool
		Want                                  *kit.Want
		Incidents, FalseAlarms, OtherAlarms   int
		Result                                kit.Result
	}
	var rows []row
	for _, r := range runs {
		j := judge(r)
		x := row{Name: r.Name, Library: r.Library, Spans: r.Spans.String(), Skipped: r.skipped, HeldOut: r.heldOut, Benign: r.Want == nil, Passed: j.passed(),
			Want: r.Want, Incidents: j.incidents, FalseAlarms: j.falseAlarms, OtherAlarms: j.others, Result: r.result}
		if r.err != nil {
			x.Failed = r.err.Error()
		}
		rows = append(rows, x)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(rows)
}

// sound reports whether every program passed.
func sound(runs []*run) bool {
	return !slices.ContainsFunc(runs, func(r *run) bool { return !judge(r).passed() && r.skipped == "" })
}
