// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// printer writes text to a terminal.
type printer struct {
	out, progress io.Writer
	top           int
}

func (p printer) line(format string, args ...any) {
	fmt.Fprintln(p.out, plain(fmt.Sprintf(format, args...)))
}

func (p printer) title(format string, args ...any) {
	fmt.Fprintf(p.out, "\n%s\n", plain(strings.ToUpper(fmt.Sprintf(format, args...))))
}

// table writes rows in aligned columns.
func (p printer) table(rows [][]string) {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, cell := range r {
			cells[i] = plain(cell)
		}
		fmt.Fprintln(w, "  "+strings.Join(cells, "\t"))
	}
	_ = w.Flush() // errors are ignored as in fmt.Fprintln
}

// section writes a title and rows, unless there are none.
func (p printer) section(title string, rows [][]string) {
	if len(rows) > 0 {
		p.title("%s", title)
		p.table(rows)
	}
}

// plain returns s as one line without control characters, which could control the
// terminal: names come from requests, and files from other machines.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsGraphic(r):
			return r
		default:
			return unicode.ReplacementChar
		}
	}, s)
}

// bar returns a bar chart of a share from 0 to 1.
func bar(share float64) string {
	const width = 24
	n := int(share*width + 0.5)
	return strings.Repeat("█", min(max(n, 0), width)) + strings.Repeat("·", width-min(max(n, 0), width))
}

// short formats a duration with three digits.
func short(d time.Duration) string {
	for unit := time.Duration(1); unit < time.Hour; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(time.Second).String()
}

func seconds(s float64) string { return short(time.Duration(s * float64(time.Second))) }

func percent(part, whole time.Duration) string {
	if whole <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*part.Seconds()/whole.Seconds())
}
