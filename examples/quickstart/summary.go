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

// summary is an exporter that prints a line for each snapshot, and at the end a table
// with the minimum and maximum of each value.
type summary struct {
	service *service

	mu       sync.Mutex
	rows     []row
	previous *runtimeinfo.Snapshot
}

// row is one value of the line, and one row of the table.
type row struct {
	name              string
	least, most, last float64
	format            func(float64) string
}

var _ exporters.Exporter = (*summary)(nil)

// Export prints the line.
func (v *summary) Export(_ context.Context, s *runtimeinfo.Snapshot) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	get := func(key string) float64 {
		n, _ := s.Number(key) // zero if absent
		return n
	}
	previous := v.previous
	v.previous = s
	if previous == nil || s.Time.Sub(previous.Time) < 500*time.Millisecond {
		return nil // no rate: the first sample, or the one that Stop takes
	}
	before, _ := previous.Number("gmpulse.root_spans.started")
	rate := (get("gmpulse.root_spans.started") - before) / s.Time.Sub(previous.Time).Seconds()
	active := 0.0
	for p := range s.Points() {
		if p.Metric.Name == "gmpulse.root_span.active" {
			active += p.Number
		}
	}
	values := []row{
		{name: "requests/s", last: rate, format: count},
		{name: "in flight", last: active, format: count},
		{name: "goroutines", last: get("gmpulse.goroutine.user"), format: count},
		{name: "runnable (max)", last: get("gmpulse.pulse.goroutines.max.runnable"), format: count},
		{name: "sched p99", last: get("gmpulse.schedule.duration.p99"), format: duration},
		{name: "heap", last: get("gmpulse.memory.heap_alloc"), format: bytes},
		{name: "queue", last: get("shop.queue.depth"), format: count},
	}
	fmt.Print(s.Time.Format(time.TimeOnly))
	for i := range values {
		fmt.Printf("  %s %s", values[i].name, values[i].format(values[i].last))
	}
	fmt.Println()
	v.update(values)
	return nil
}

// Shutdown does nothing.
func (*summary) Shutdown(context.Context) error { return nil }

// update updates the minimum and maximum of each row.
func (v *summary) update(values []row) {
	if v.rows == nil {
		for i := range values {
			values[i].least, values[i].most = values[i].last, values[i].last
		}
		v.rows = values
		return
	}
	for i := range v.rows {
		r, n := &v.rows[i], values[i].last
		r.least, r.most, r.last = min(r.least, n), max(r.most, n), n
	}
}

// printTable prints the values of the whole run and the statistics of each exporter.
func (v *summary) printTable(s engine.Stats) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer func() { _ = w.Flush() }() // to standard output
	fmt.Fprintf(w, "\n\tleast\tmost\tlast\t\n")
	for _, r := range v.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", r.name, r.format(r.least), r.format(r.most), r.format(r.last))
	}
	fmt.Fprintf(w, "\nexporter\taccepted\tdelivered\tdropped\t\n")
	for i := range s.Exporters {
		e := &s.Exporters[i]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", e.Name, e.Snapshots.Accepted+e.Events.Accepted, e.Snapshots.Delivered+e.Events.Delivered, e.Snapshots.Lost()+e.Events.Lost())
	}
	fmt.Fprintf(w, "\n%d requests answered, %d failed; %d samples, %d missed\n", v.service.answered.Load(), v.service.failed.Load(), s.Ticks, s.TicksMissed)
}

func count(v float64) string { return fmt.Sprintf("%.0f", v) }

func duration(v float64) string {
	return time.Duration(v * float64(time.Second)).Round(time.Microsecond).String()
}

func bytes(v float64) string { return fmt.Sprintf("%.1f MB", v/1e6) }
