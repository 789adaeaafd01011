// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// view is an exporter of our own: it prints one line a second and remembers the
// least and the most of what it printed.
type view struct {
	shop *shop

	mu   sync.Mutex
	rows []row
	seen *runtimeinfo.Snapshot // the one before
}

// row is one column of the line, and one row of the table.
type row struct {
	name             string
	least, most, end float64
	format           func(float64) string
}

var _ exporters.Exporter = (*view)(nil)

// Export prints the line.
func (v *view) Export(_ context.Context, s *runtimeinfo.Snapshot) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	get := func(key string) float64 {
		n, _ := s.Number(key) // what is absent reads as zero in this summary
		return n
	}
	seen := v.seen
	v.seen = s
	if seen == nil || s.Time.Sub(seen.Time) < 500*time.Millisecond {
		return nil // the first and the closing sample span no second
	}
	before, _ := seen.Number("gmpulse.root_spans.started")
	rate := (get("gmpulse.root_spans.started") - before) / s.Time.Sub(seen.Time).Seconds()
	active := 0.0
	for p := range s.Points() {
		if p.Metric.Name == "gmpulse.root_span.active" {
			active += p.Number
		}
	}
	values := []row{
		{name: "requests/s", end: rate, format: count},
		{name: "in flight", end: active, format: count},
		{name: "goroutines", end: get("gmpulse.goroutine.user"), format: count},
		{name: "runnable (max)", end: get("gmpulse.pulse.goroutines.max.runnable"), format: count},
		{name: "sched p99", end: get("gmpulse.schedule.duration.p99"), format: duration},
		{name: "heap", end: get("gmpulse.memory.heap_alloc"), format: bytes},
		{name: "queue", end: get("shop.queue.depth"), format: count},
	}
	fmt.Print(s.Time.Format(time.TimeOnly))
	for i := range values {
		fmt.Printf("  %s %s", values[i].name, values[i].format(values[i].end))
	}
	fmt.Println()
	v.remember(values)
	return nil
}

// Shutdown does nothing.
func (*view) Shutdown(context.Context) error { return nil }

func (v *view) remember(values []row) {
	if v.rows == nil {
		for i := range values {
			values[i].least, values[i].most = values[i].end, values[i].end
		}
		v.rows = values
		return
	}
	for i := range v.rows {
		r, n := &v.rows[i], values[i].end
		r.least, r.most, r.end = min(r.least, n), max(r.most, n), n
	}
}

// table prints the summary of the run.
func (v *view) table(s engine.Stats) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer func() { _ = w.Flush() }() // to standard output: nobody to tell
	fmt.Fprintf(w, "\n\tleast\tmost\tlast\t\n")
	for _, r := range v.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", r.name, r.format(r.least), r.format(r.most), r.format(r.end))
	}
	fmt.Fprintf(w, "\nexporter\taccepted\tdelivered\tdropped\t\n")
	for i := range s.Exporters {
		e := &s.Exporters[i]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", e.Name, e.Snapshots.Accepted+e.Events.Accepted, e.Snapshots.Delivered+e.Events.Delivered, e.Snapshots.Lost()+e.Events.Lost())
	}
	fmt.Fprintf(w, "\n%d requests answered, %d failed; %d samples, %d missed\n", v.shop.answered.Load(), v.shop.failed.Load(), s.Ticks, s.TicksMissed)
}

func count(v float64) string { return fmt.Sprintf("%.0f", v) }

func duration(v float64) string {
	return time.Duration(v * float64(time.Second)).Round(time.Microsecond).String()
}

func bytes(v float64) string { return fmt.Sprintf("%.1f MB", v/1e6) }
