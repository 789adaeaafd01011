// SPDX-License-Identifier: Apache-2.0

package exporters_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func ExampleFunc() {
	e := exporters.Func(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		for p := range s.Points() {
			if p.Metric.Kind == runtimeinfo.KindHistogram {
				fmt.Println(p.Metric.Key(), "has", p.Histogram.Count(), "observations")
			}
		}
		return nil
	})
	_ = e.Export(context.Background(), exporttest.Snapshot())
	// Output:
	// go.schedule.duration has 1000 observations
}

// textLogger returns a logger that prints lines without the time.
func textLogger() *slog.Logger {
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: noTime}))
}

func ExampleLog() {
	e := exporters.Log(textLogger())
	_ = e.Export(context.Background(), exporttest.Snapshot())
	// Output:
	// level=INFO msg=runtime gmpulse.goroutine.user=42 go.processor.limit=4 gmpulse.schedule.duration.p99=0.001953125 gmpulse.memory.heap_alloc=123456789 go.memory.gc.cycles=7 gmpulse.gc.pause.max=0.000244140625 process.memory.usage=268435456 gmpulse.root_spans.started=98765 span.active=2 span.oldest.trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span.oldest.span_id=00f067aa0ba902b7 span.oldest.name="POST /checkout" span.oldest.age=2.5
}

// An incident is one line. Nothing else in a snapshot is logged.
func ExampleLogIncidents() {
	e := exporters.LogIncidents(textLogger(), nil)
	s := exporttest.Snapshot()
	_ = e.Export(context.Background(), s)
	_ = e.Export(context.Background(), s.WithEvents([]runtimeinfo.Event{exporttest.Event()}))
	// Output:
	// level=WARN msg="gmpulse: goroutine leak opened" goroutines=1042 site="main.(*pool).submit (pool.go:87)" root_span="POST /checkout" evidence="none of the 1000 that existed at 03:02:05 had ended by 03:04:05" hint="nothing receives from the channel" trace_id=4bf92f3577b34da6a3ce929d0e0e4736 incident=goroutines-1 since=2026-01-02T03:04:05.578Z
}

// The default set without the container, and all metrics of exporters.
func ExampleNewSelection() {
	selected, err := exporters.NewSelection("-container", "gmpulse.exporter.*")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(selected.Match(&runtimeinfo.Metric{Name: "gmpulse.exporter.pending", Detail: true}))
	fmt.Println(selected.Match(&runtimeinfo.Metric{Name: "gmpulse.cgroup.cpu.quota", Subsystem: runtimeinfo.SubsystemContainer}))
	// Output:
	// true
	// false
}

func ExampleRecord() {
	for key, value := range exporters.Record(exporttest.Snapshot()) {
		if strings.HasPrefix(key, "process.") || key == "message" {
			fmt.Println(key, value)
		}
	}
	// Output:
	// message checkout: 42 goroutines, heap 123 MB, 2 spans active, oldest 2.5s (POST /checkout)
	// process.memory.usage 2.68435456e+08
}

func ExampleFullRecord() {
	for key, value := range exporters.FullRecord(exporttest.Snapshot()) {
		if strings.HasPrefix(key, "process.") || strings.HasPrefix(key, "gmpulse.exporter.") {
			fmt.Println(key, value)
		}
	}
	// Output:
	// process.cpu.time.user 12.5
	// process.cpu.time.system 3.25
	// process.memory.usage 2.68435456e+08
	// gmpulse.exporter.dropped.fluentd.event.rejected 0
	// gmpulse.exporter.dropped.fluentd.snapshot.replaced 2
	// gmpulse.exporter.up.fluentd 1
}

func ExampleEventRecord() {
	e := exporttest.Event()
	for key, value := range exporters.EventRecord(exporttest.Snapshot(), &e) {
		if !strings.HasPrefix(key, "resource.") && key != "spans" && key != "attributes" {
			fmt.Println(key, value)
		}
	}
	// Output:
	// id checkout-7d9f8b6c5-x2x9k/dfdqgh00tg8w/dfdrqersbxj4/28594needjn8v
	// seq 3600
	// event.name goroutines.growth
	// severity WARN
	// message Goroutines grew from 42 to 1042 within 30 s, most of them blocked sending on a channel.
	// incident.id goroutines-1
	// incident.phase opened
	// incident.since 2026-01-02T03:04:05.578Z
	// incident.kind leak
	// incident.site main.(*pool).submit (pool.go:87)
	// incident.root_span POST /checkout
	// incident.hint nothing receives from the channel
	// incident.size 1042
}
