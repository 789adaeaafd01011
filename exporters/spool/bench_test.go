// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// BenchmarkSpool measures one snapshot with histograms and labelled values: delivered by a
// backend that keeps up, and written to disk during an outage.
func BenchmarkSpool(b *testing.B) {
	s := catalogue.NewProcess().Sample(sampler.Tick{Time: time.Now()}, func(d *catalogue.Draft) {
		for _, name := range []string{"prometheus", "page", "fluentd"} {
			d.Exporter(name, 1, 1000, 0)
		}
		d.Groups(time.Now(), nil, runtimeinfo.SpanGroup{Name: "GET /checkout", Active: 3, Oldest: time.Now()}, runtimeinfo.SpanGroup{Name: "GET /stock"})
	})
	b.Run("delivered", func(b *testing.B) {
		next := &counting{}
		x, _ := newSpool(b, next, spool.Config{})
		b.ReportAllocs()
		for b.Loop() {
			if err := x.Export(b.Context(), s); err != nil {
				b.Fatal(err)
			}
			if err := x.Sync(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		stop(b, x, longDeadline)
	})
	b.Run("to-disk", func(b *testing.B) {
		away := &backend{}
		away.does(down)
		x, _ := newSpool(b, away, spool.Config{Dir: b.TempDir()})
		b.ReportAllocs()
		for b.Loop() {
			if err := x.Export(b.Context(), s); err != nil {
				b.Fatal(err)
			}
			if err := x.Sync(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		r := x.ExporterStats()
		b.ReportMetric(float64(r.Spool.Bytes)/float64(r.Snapshots.Pending), "B/record")
		stop(b, x, shortDeadline)
	})
}

// counting accepts every snapshot and keeps none.
type counting struct {
	mu sync.Mutex
	n  int
}

func (c *counting) Export(context.Context, *runtimeinfo.Snapshot) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return nil
}

func (*counting) Shutdown(context.Context) error { return nil }
