// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// report prints a table with a row for each phase and a column for each rule.
func report(w io.Writer, opts *options, phases []phase, all []*outcome) {
	names := []string{gmpulse}
	for _, r := range rules(0) {
		names = append(names, r.name)
	}
	fmt.Fprintf(w, "| phase | wanted | %s | CPUs used by other processes |\n|%s\n", strings.Join(names, " | "), strings.Repeat(" --- |", len(names)+3))
	for i := range phases {
		p := &phases[i]
		wanted := "no alert"
		if p.fault() {
			wanted = fmt.Sprintf("≤ %d s", p.within)
		}
		cells := make([]string, len(names))
		for k, name := range names {
			cells[k] = cell(p, i, name, all)
		}
		fmt.Fprintf(w, "| %s, %s | %s | %s | %s |\n", p.name, minutes(p.lasts), wanted, strings.Join(cells, " | "), busy(i, 0, all))
	}
	fmt.Fprintf(w, "| the %s after each | alert ends ≤ 30 s, no other |", minutes(opts.recovery))
	for _, name := range names {
		n, up := 0, 0
		for _, o := range all {
			for i := range o.pieces {
				n += len(o.pieces[i][1].alerts[name])
				up += o.pieces[i][1].up[name]
			}
		}
		fmt.Fprintf(w, " %s, up %d %% of the time", plural(n, "alert"), 100*up/(opts.recovery*len(all)*len(phases)))
		if name == gmpulse {
			fmt.Fprintf(w, "; %s", recoveries(phases, all))
		}
		fmt.Fprint(w, " |")
	}
	fmt.Fprintf(w, " |\n")
}

// cell summarises the results of one rule in one phase over all runs.
func cell(p *phase, i int, name string, all []*outcome) string {
	if !p.fault() {
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

// found returns the second of the phase in which a rule raised its first alert. An alert
// that is already up at the start of the phase is not a new one.
func (o *outcome) found(i int, name string) (second int, ok bool) {
	part := &o.pieces[i][0]
	seconds := slices.Clone(part.again)
	if name != gmpulse {
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

// recoveries summarises how long gmpulse's alerts lasted after the end of a fault.
func recoveries(phases []phase, all []*outcome) string {
	var took []int
	still := 0
	for _, o := range all {
		for i := range phases {
			switch after := &o.pieces[i][1]; {
			case !phases[i].fault() || !o.pieces[i][0].open:
			case after.open || after.closed < 0:
				still++
			default:
				took = append(took, after.closed+1)
			}
		}
	}
	if len(took) == 0 {
		return fmt.Sprintf("%d not ended", still)
	}
	slices.Sort(took)
	return fmt.Sprintf("ended after a median of %d s, worst %d s, %d did not end", took[len(took)/2], took[len(took)-1], still)
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

// busyMachine is the number of CPUs that other processes may use before they make the
// results unreliable.
const busyMachine = 0.5

// passed reports whether the results of a quick run are as wanted: gmpulse missed at most
// one fault and raised no warning in the promotion. A quick run learns for ten minutes, and
// the agent reports anomalies of the first half hour as INFO. On a busy machine it must have found
// half of the faults, and may have raised alerts, because stalls of the machine are real.
func passed(w io.Writer, phases []phase, all []*outcome) bool {
	missed, faults, falseAlarms := 0, 0, 0
	var others float64
	for _, o := range all {
		for i := range phases {
			p, got := &phases[i], &o.pieces[i][0]
			others += o.pieces[i][1].busy / float64(len(phases)*len(all))
			switch found := len(got.alerts[gmpulse])+len(got.again) > 0; {
			case p.fault():
				faults++
				if !found {
					fmt.Fprintf(w, "not found: %s\n", p.name)
					missed++
				}
			case slices.ContainsFunc(got.alerts[gmpulse], func(a alert) bool { return a.warning }):
				fmt.Fprintf(w, "warning in %s: %v\n", p.name, got.alerts[gmpulse])
				falseAlarms++
			}
		}
	}
	if others >= busyMachine {
		fmt.Fprintf(w, "other processes used %.1f CPUs: half of the faults are enough, and alerts are allowed\n", others)
		return 2*missed <= faults
	}
	return missed <= 1 && falseAlarms == 0
}
