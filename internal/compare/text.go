// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/units"
)

// Table is a part of a report for people: what it is about, and cells.
type Table struct {
	Title string // empty for the process, else the name of root spans
	Rows  [][]string
}

// Sentences describe both sides.
func (r *Report) Sentences() []string {
	all := []string{r.Before.sentence("before"), r.After.sentence("after ")}
	if r.Paired {
		all = append(all, "paired: both ran at the same time, so that what slowed both down cancels")
	}
	return all
}

func (s *Side) sentence(name string) string {
	text := fmt.Sprintf("%s  %s: %s from %s", name, s.Source, time.Duration(s.Seconds*float64(time.Second)).Round(time.Second), s.From.UTC().Format("2006-01-02T15:04:05Z"))
	if s.Service != "" {
		text += ", " + strings.TrimSpace(s.Service+" "+s.Version)
	}
	if s.Requests > 0 {
		text += fmt.Sprintf(", %.0f requests", s.Requests)
	}
	return text
}

// Summary is one sentence on the result.
func (r *Report) Summary() string {
	found := r.Regressions()
	if len(found) == 0 {
		return fmt.Sprintf("no regression beyond %s", percent(r.Margin))
	}
	text := fmt.Sprintf("%d regressions beyond %s: ", len(found), percent(r.Margin))
	if len(found) == 1 {
		text = fmt.Sprintf("a regression beyond %s: ", percent(r.Margin))
	}
	rows := make([]string, len(found))
	for i := range found {
		x := &found[i]
		rows[i] = strings.TrimSpace(x.Root + " " + x.Quantity + " " + x.change(*x.Change))
	}
	return text + strings.Join(rows, "; ")
}

// Tables returns the rows of the process, and the rows of each root span.
func (r *Report) Tables() []Table {
	var all []Table
	for i := range r.Rows {
		x := &r.Rows[i]
		if len(all) == 0 || all[len(all)-1].Title != x.Root {
			all = append(all, Table{x.Root, [][]string{{"quantity", "before", "after", "change", "95 % interval", "result"}}})
		}
		t := &all[len(all)-1]
		t.Rows = append(t.Rows, x.cells())
	}
	return all
}

func (r *Row) cells() []string {
	change, interval, result := "-", "-", string(r.Result)
	if r.Change != nil {
		change, interval = r.change(*r.Change), r.change(*r.Low)+" to "+r.change(*r.High)
	}
	if r.Result == Regression {
		result = "REGRESSION"
	}
	return []string{r.Quantity, r.value(r.Before), r.value(r.After), change, interval, result}
}

// value formats a value with about three digits.
func (r *Row) value(v *float64) string {
	switch {
	case v == nil:
		return "-"
	case r.Unit == "s" || r.Unit == "By" || r.Unit == "1":
		return units.Format(*v, r.Unit)
	default:
		return fmt.Sprintf("%.4g", *v)
	}
}

// change formats a change: of a share in percentage points.
func (r *Row) change(v float64) string {
	if r.Difference {
		return fmt.Sprintf("%+.2f pp", 100*v)
	}
	if math.Abs(v) >= 9.995 { // more than ten times
		return fmt.Sprintf("×%.3g", 1+v)
	}
	return fmt.Sprintf("%+.1f %%", 100*v)
}

func percent(v float64) string { return fmt.Sprintf("%.3g %%", 100*v) }
