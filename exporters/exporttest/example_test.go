// SPDX-License-Identifier: Apache-2.0

package exporttest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Run tests any exporter, also one outside of gmpulse.
func ExampleRun() {
	newExporter := func(*testing.T) exporters.Exporter {
		return exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return nil })
	}
	TestConformance := func(t *testing.T) {
		t.Helper()
		exporttest.Run(t, newExporter)
	}
	_ = TestConformance // go test calls it
}

func ExampleSnapshot() {
	for p := range exporttest.Snapshot().Points() {
		if p.Metric.Headline && p.Metric.Keys == nil {
			fmt.Println(p.Metric.Key(), p.Number, p.Metric.Unit)
		}
	}
	// Output:
	// gmpulse.goroutine.user 42 {goroutine}
	// go.processor.limit 4 {thread}
	// gmpulse.schedule.duration.p99 0.001953125 s
	// gmpulse.memory.heap_alloc 1.23456789e+08 By
	// go.memory.gc.cycles 7 {gc_cycle}
	// gmpulse.gc.pause.max 0.000244140625 s
	// process.memory.usage 2.68435456e+08 By
	// gmpulse.root_spans.started 98765 {span}
}

func ExampleEvent() {
	e := exporttest.Event()
	fmt.Println(e.Severity, e.Name, e.Attrs[0], e.Spans[0].Name)
	// Output:
	// WARN goroutines.growth from=42 POST /checkout
}
