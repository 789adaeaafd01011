// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// traceFile says where the time of spans went in an execution trace.
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

// analyze reads a trace, and tells how far it is when that takes long.
func analyze(ctx context.Context, p printer, f *os.File, path string, each func(*exectrace.Breakdown)) (*exectrace.Window, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory; a bundle is for gmpulse inspect", path)
	}
	in := &meter{Reader: f, whole: info.Size(), out: p.progress, path: path, last: time.Now(), terminal: terminal(p.progress)}
	w, err := exectrace.Analyze(ctx, in, math.MaxInt, each)
	in.done()
	switch {
	case errors.Is(err, exectrace.ErrFormat):
		return nil, fmt.Errorf("%s is no execution trace of Go that can be read: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return w, nil
}

// meter tells how much has been read, from one second on.
type meter struct {
	io.Reader
	read, whole int64
	out         io.Writer
	path        string
	last        time.Time
	terminal    bool // where a line can be written over
	shown       bool
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	m.read += int64(n)
	every := time.Second
	if m.terminal && m.shown {
		every /= 5
	}
	if now := time.Now(); now.Sub(m.last) >= every && m.whole > 0 {
		m.last = now
		m.show()
	}
	return n, err
}

func (m *meter) show() {
	m.shown = true
	const mb = 1 << 20
	text := fmt.Sprintf("reading %s: %d %% of %d MB", plain(m.path), 100*m.read/m.whole, (m.whole+mb/2)/mb)
	if m.terminal {
		fmt.Fprint(m.out, "\r"+text)
		return
	}
	fmt.Fprintln(m.out, text)
}

func (m *meter) done() {
	if m.shown && m.terminal {
		fmt.Fprint(m.out, "\r\x1b[K")
	}
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// window says what a trace says of the process.
func (p printer) window(w *exectrace.Window) {
	p.line("%s of execution trace, %d events, %d spans ended in it", short(w.Duration), w.Events, w.Spans)
	if !w.Start.IsZero() {
		p.line("begins %s", w.Start.Format(time.RFC3339Nano))
	}
	if w.Open > 0 || w.Beginless > 0 {
		p.line("no exact data on %d spans that had not ended, and %d that had begun before", w.Open, w.Beginless)
	}
	p.title("processors")
	rows := [][]string{}
	for _, c := range w.Processors {
		rows = append(rows, []string{"P" + strconv.Itoa(c.ID), bar(c.Busy.Seconds() / w.Duration.Seconds()), percent(c.Busy, w.Duration) + " busy"})
	}
	p.table(rows)
	mean, most := queue(&w.RunQueue)
	p.line("  ready to run and no processor: %.1f goroutines on average, at most %d", mean, most)
	p.line("  wait for a processor: p50 below %v, p99 below %v, of %d waits", w.Latency.Quantile(0.5), w.Latency.Quantile(0.99), w.Latency.Count())
	p.line("  world stopped %s, collector marking %s", percent(w.STW, w.Duration), percent(w.Mark, w.Duration))
}

func queue(q *exectrace.RunQueue) (mean float64, most int) {
	for i := range q.Mean {
		mean += q.Mean[i] / float64(len(q.Mean))
		most = max(most, q.Max[i])
	}
	return mean, most
}

// roots says where the time of spans went, by name.
func (p printer) roots(w *exectrace.Window) {
	if len(w.Roots) == 0 {
		p.title("no root spans")
		p.line("  the OpenTelemetry SDK tells a trace of the spans that begin and end while it is recorded")
		return
	}
	p.title("root spans")
	rows := [][]string{{"spans", "mean", "longest", "running", "runnable", "syscall", "blocked", "mostly in", "name"}}
	for _, r := range w.Roots[:min(len(w.Roots), p.top)] {
		rows = append(rows, []string{
			strconv.Itoa(r.Spans), short(r.Duration / time.Duration(r.Spans)), short(r.Longest),
			percent(r.Self.Of(exectrace.Running), r.Duration), percent(r.Self.Of(exectrace.Runnable), r.Duration),
			percent(r.Self.Of(exectrace.Syscall), r.Duration), percent(r.Self.Blocked(), r.Duration), mostly(&r.Self), r.Name,
		})
	}
	p.table(rows)
}

// mostly names the longest wait.
func mostly(parts *exectrace.Parts) string {
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

// breakdown says where the time of one span went.
func (p printer) breakdown(b *exectrace.Breakdown) {
	p.title("%s: %s", "span", short(b.Duration))
	p.line("  %s", b.Name)
	if id := b.TraceIDString(); id != "" {
		p.line("  trace %s, span %x", id, b.SpanID)
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
	if b.Goroutines > 0 || b.Others.Sum() > 0 {
		p.line("  others for it: %d goroutines, %s running, %s runnable, %s blocked", b.Goroutines,
			short(b.Others.Of(exectrace.Running)), short(b.Others.Of(exectrace.Runnable)), short(b.Others.Blocked()))
	}
	if b.STW > 0 || b.Mark > 0 || b.MarkAssist > 0 {
		p.line("  meanwhile: world stopped %s, collector marking %s, of it helping %s", short(b.STW), short(b.Mark), short(b.MarkAssist))
	}
	for i := range b.Wakers[:min(len(b.Wakers), 3)] {
		p.line("  woken: %s", b.Wakers[i].String())
	}
}
