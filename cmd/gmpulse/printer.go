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

// printer writes for people at a terminal.
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

// table writes rows in columns; the first is the head.
func (p printer) table(rows [][]string) {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, cell := range r {
			cells[i] = plain(cell)
		}
		fmt.Fprintln(w, "  "+strings.Join(cells, "\t"))
	}
	_ = w.Flush() // as with any print
}

// plain makes one line of a text that a terminal does not obey: names come from
// requests, and files from anywhere.
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

// bar shows a share of one.
func bar(share float64) string {
	const width = 24
	n := int(share*width + 0.5)
	return strings.Repeat("█", min(max(n, 0), width)) + strings.Repeat("·", width-min(max(n, 0), width))
}

// short rounds a duration to three digits.
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
