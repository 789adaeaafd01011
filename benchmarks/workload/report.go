// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// report prints a table: a row a phase, a column a rule.
func report(w io.Writer, opts *options, phases []phase, all []*outcome) {
	names := []string{ours}
	for _, r := range rules(0) {
		names = append(names, r.name)
	}
	fmt.Fprintf(w, "| phase | wanted | %s | CPUs that others used |\n|%s\n", strings.Join(names, " | "), strings.Repeat(" --- |", len(names)+3))
	for i := range phases {
		p := &phases[i]
		wanted := "no alert"
		if p.trouble() {
			wanted = fmt.Sprintf("≤ %d s", p.within)
		}
		cells := make([]string, len(names))
		for k, name := range names {
			cells[k] = cell(p, i, name, all)
		}
		fmt.Fprintf(w, "| %s, %s | %s | %s | %s |\n", p.name, minutes(p.lasts), wanted, strings.Join(cells, " | "), busy(i, 0, all))
	}
	fmt.Fprintf(w, "| the %s after each | alert ends ≤ 30 s, no other |", minutes(opts.rest))
	for _, name := range names {
		n, up := 0, 0
		for _, o := range all {
			for i := range o.pieces {
				n += len(o.pieces[i][1].alerts[name])
				up += o.pieces[i][1].up[name]
			}
		}
		fmt.Fprintf(w, " %s, up %d %% of the time", plural(n, "alert"), 100*up/(opts.rest*len(all)*len(phases)))
		if name == ours {
			fmt.Fprintf(w, "; %s", recoveries(phases, all))
		}
		fmt.Fprint(w, " |")
	}
	fmt.Fprintf(w, " |\n")
}

// cell sums one phase up for one rule over all runs.
func cell(p *phase, i int, name string, all []*outcome) string {
	if !p.trouble() {
		n, up := 0, 0
		for _, o := range all {
			n += len(o.pieces[i][0].alerts[name])
			up += o.pieces[i][0].up[name]
		}
		return fmt.Sprintf("%s, up %d %% of the time", plural(n, "alert"), 100*up/(p.lasts*len(all)))
	}
	var took []int
	inTime := 0
	for _, o := range all {
		if s, ok := o.found(i, name); ok {
			took = append(took, s)
			if s <= p.within {
				inTime++
			}
		}
	}
	if len(took) == 0 {
		return "not found"
	}
	slices.Sort(took)
	return fmt.Sprintf("%d of %d in time, after a median of %d s, worst %d s", inTime, len(all), took[len(took)/2], took[len(took)-1])
}

// found tells when an alert came in a phase. One that was up already hides it: then
// none did.
func (o *outcome) found(i int, name string) (second int, ok bool) {
	part := &o.pieces[i][0]
	seconds := slices.Clone(part.again)
	if name != ours {
		seconds = nil
	}
	for _, a := range part.alerts[name] {
		seconds = append(seconds, a.second)
	}
	if len(seconds) == 0 {
		return 0, false
	}
	return slices.Min(seconds) + 1, true
}

// recoveries sums up how our alerts ended after trouble.
func recoveries(phases []phase, all []*outcome) string {
	var took []int
	still := 0
	for _, o := range all {
		for i := range phases {
			switch rest := &o.pieces[i][1]; {
			case !phases[i].trouble() || !o.pieces[i][0].open:
			case rest.open || rest.closed < 0:
				still++
			default:
				took = append(took, rest.closed+1)
			}
		}
	}
	if len(took) == 0 {
		return fmt.Sprintf("%d not ended", still)
	}
	slices.Sort(took)
	return fmt.Sprintf("ended after a median of %d s, worst %d s, %d not at all", took[len(took)/2], took[len(took)-1], still)
}

func busy(i, part int, all []*outcome) string {
	var sum float64
	for _, o := range all {
		sum += o.pieces[i][part].busy
	}
	if sum < 0 {
		return "–"
	}
	return strconv.FormatFloat(sum/float64(len(all)), 'f', 1, 64)
}

func minutes(seconds int) string {
	if seconds < 120 {
		return strconv.Itoa(seconds) + " s"
	}
	return strconv.Itoa(seconds/60) + " min"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// crowded is how many CPUs others may use before a run says little.
const crowded = 0.5

// fallsShort judges a thin sample: one trouble may be missed, and there must be no
// alert in the promotion. On a machine that others keep busy half of the troubles
// must be found, and an alert may be true.
func fallsShort(w io.Writer, phases []phase, all []*outcome) bool {
	missed, troubles, wolf := 0, 0, 0
	var others float64
	for _, o := range all {
		for i := range phases {
			p, got := &phases[i], &o.pieces[i][0]
			others += o.pieces[i][1].busy / float64(len(phases)*len(all))
			switch found := len(got.alerts[ours])+len(got.again) > 0; {
			case p.trouble():
				troubles++
				if !found {
					fmt.Fprintf(w, "not found: %s\n", p.name)
					missed++
				}
			case found:
				fmt.Fprintf(w, "alert in %s: %v\n", p.name, got.alerts[ours])
				wolf++
			}
		}
	}
	if others >= crowded {
		fmt.Fprintf(w, "others used %.1f CPUs: judged leniently\n", others)
		return 2*missed > troubles
	}
	return missed > 1 || wolf > 0
}
