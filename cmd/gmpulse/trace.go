// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// traceFile prints where the time of spans went in an execution trace.
func traceFile(ctx context.Context, p printer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := analyze(ctx, p, f, path, nil)
	if err != nil {
		return err
	}
	p.window(w)
	p.roots(w)
	for _, b := range w.Slowest[:min(len(w.Slowest), p.top)] {
		p.breakdown(b)
	}
	return nil
}

// analyze reads a trace and reports the progress if it takes more than a second.
func analyze(ctx context.Context, p printer, f *os.File, path string, each func(*exectrace.Breakdown)) (*exectrace.Window, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory; use gmpulse inspect for an incident bundle", path)
	}
	in := &progressReader{Reader: f, size: info.Size(), out: p.progress, path: path, last: time.Now(), terminal: isTerminal(p.progress)}
	w, err := exectrace.Analyze(ctx, in, math.MaxInt, each)
	in.clear()
	switch {
	case errors.Is(err, exectrace.ErrFormat):
		return nil, fmt.Errorf("cannot read %s as an execution trace of Go: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return w, nil
}

// A progressReader reports how much has been read, after the first second.
type progressReader struct {
	io.Reader
	read, size int64
	out        io.Writer
	path       string
	last       time.Time
	terminal   bool // out can overwrite a line
	shown      bool
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.read += int64(n)
	interval := time.Second
	if p.terminal && p.shown {
		interval /= 5
	}
	if now := time.Now(); now.Sub(p.last) >= interval && p.size > 0 {
		p.last = now
		p.show()
	}
	return n, err
}

func (p *progressReader) show() {
	p.shown = true
	const mb = 1 << 20
	text := fmt.Sprintf("reading %s: %d %% of %d MB", plain(p.path), 100*p.read/p.size, (p.size+mb/2)/mb)
	if p.terminal {
		fmt.Fprint(p.out, "\r"+text)
		return
	}
	fmt.Fprintln(p.out, text)
}

// clear removes the progress from a terminal.
func (p *progressReader) clear() {
	if p.shown && p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// window prints the part of a trace that concerns the whole process.
func (p printer) window(w *exectrace.Window) {
	p.line("%s of execution trace, %d events, %d spans ended", short(w.Duration), w.Events, w.Spans)
	if !w.Start.IsZero() {
		p.line("begins %s", w.Start.Format(time.RFC3339Nano))
	}
	if w.Open > 0 || w.Beginless > 0 {
		p.line("no exact data for %d spans that had not ended and %d that began before the trace", w.Open, w.Beginless)
	}
	p.title("processors")
	rows := [][]string{}
	for _, id := range slices.Sorted(maps.Keys(w.Busy)) {
		rows = append(rows, []string{"P" + strconv.Itoa(id), bar(w.Busy[id].Seconds() / w.Duration.Seconds()), percent(w.Busy[id], w.Duration) + " busy"})
	}
	p.table(rows)
	p.line("  runnable without a processor: %.1f goroutines on average, at most %d", w.QueueMean, w.QueueMax)
	p.line("  scheduling latency: p50 below %v, p99 below %v, of %d waits", w.WaitP50, w.WaitP99, w.Waits)
	p.line("  world stopped %s of the time, garbage collector marking %s", percent(w.STW, w.Duration), percent(w.Mark, w.Duration))
}

// roots prints where the time of root spans went, by name.
func (p printer) roots(w *exectrace.Window) {
	if len(w.Roots) == 0 {
		p.title("no root spans")
		p.line("  an execution trace contains the spans that the OpenTelemetry SDK starts and ends while it is recorded")
		return
	}
	p.title("root spans")
	rows := [][]string{{"spans", "mean", "longest", "running", "runnable", "syscall", "blocked", "longest wait", "name"}}
	for _, r := range w.Roots[:min(len(w.Roots), p.top)] {
		rows = append(rows, []string{
			strconv.Itoa(r.Spans), short(r.Duration / time.Duration(r.Spans)), short(r.Longest),
			percent(r.Self.Of(exectrace.Running), r.Duration), percent(r.Self.Of(exectrace.Runnable), r.Duration),
			percent(r.Self.Of(exectrace.Syscall), r.Duration), percent(r.Self.Blocked(), r.Duration), longestWait(&r.Self), r.Name,
		})
	}
	p.table(rows)
}

// longestWait returns the name of the longest wait.
func longestWait(parts *exectrace.Parts) string {
	var longest exectrace.Cause
	var time time.Duration
	for c, d := range parts.All() {
		if c.Blocked() && d > time {
			longest, time = c, d
		}
	}
	if time == 0 {
		return "-"
	}
	return longest.String()
}

// breakdown prints where the time of one span went.
func (p printer) breakdown(b *exectrace.Breakdown) {
	p.title("span: %s", short(b.Duration))
	p.line("  %s", b.Name)
	if b.TraceID != [16]byte{} {
		p.line("  trace %x, span %x", b.TraceID, b.SpanID)
	}
	type part struct {
		cause exectrace.Cause
		time  time.Duration
	}
	var parts []part
	for c, d := range b.Self.All() {
		parts = append(parts, part{c, d})
	}
	slices.SortStableFunc(parts, func(x, y part) int { return cmp.Compare(y.time, x.time) })
	rows := [][]string{}
	for _, x := range parts {
		rows = append(rows, []string{x.cause.String(), bar(x.time.Seconds() / b.Duration.Seconds()), short(x.time), percent(x.time, b.Duration)})
	}
	p.table(rows)
	if b.Goroutines > 0 || b.Others != (exectrace.Parts{}) {
		p.line("  other goroutines for this span: %d created, %s running, %s runnable, %s blocked", b.Goroutines,
			short(b.Others.Of(exectrace.Running)), short(b.Others.Of(exectrace.Runnable)), short(b.Others.Blocked()))
	}
	if b.STW > 0 || b.Mark > 0 || b.MarkAssist > 0 {
		p.line("  during the span: world stopped %s, garbage collector marking %s, mark assist %s", short(b.STW), short(b.Mark), short(b.MarkAssist))
	}
	for i := range b.Wakers[:min(len(b.Wakers), 3)] {
		p.line("  wait: %s", b.Wakers[i].String())
	}
}
