// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// snapshot is what the agent exports once a second.
func snapshot() *runtimeinfo.Snapshot {
	depth := &runtimeinfo.Metric{Name: "queue.depth", Kind: runtimeinfo.KindGauge, Help: "Waiting jobs.", Keys: []string{"queue.name"}}
	s := runtimeinfo.NewSnapshot(
		runtimeinfo.Point{Metric: depth, Labels: []string{"mail"}, Number: 4},
		runtimeinfo.Point{Metric: depth, Labels: []string{"print"}, Number: 0},
	)
	s.Resource = []runtimeinfo.Attr{{Key: "service.name", Value: "checkout"}}
	return s
}

func ExampleNew() {
	e, err := prom.New(prom.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The registry that serves the application's /metrics.
	registry := prometheus.NewRegistry()
	if err := registry.Register(e); err != nil {
		fmt.Println(err)
		return
	}
	_ = e.Export(context.Background(), snapshot()) // the agent does this

	families, _ := registry.Gather()
	for _, f := range families {
		fmt.Println(f.GetName(), f.GetType(), len(f.GetMetric()))
	}
	// Output:
	// gmpulse_queue_depth GAUGE 2
}

func ExampleExporter_Handler() {
	e, err := prom.New(prom.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", e.Handler())
	_ = e.Export(context.Background(), snapshot()) // the agent does this

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "gmpulse_") || strings.HasPrefix(line, "target_info") {
			fmt.Print(line)
		}
	}
	// Output:
	// # HELP gmpulse_queue_depth Waiting jobs.
	// # TYPE gmpulse_queue_depth gauge
	// gmpulse_queue_depth{queue_name="mail"} 4
	// gmpulse_queue_depth{queue_name="print"} 0
	// target_info{service_name="checkout"} 1
}

func ExampleExporter_Skipped() {
	e, err := prom.New(prom.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	depth := &runtimeinfo.Metric{Name: "queue.depth", Kind: runtimeinfo.KindGauge}
	same := &runtimeinfo.Metric{Name: "queue_depth", Kind: runtimeinfo.KindGauge} // the same name in Prometheus
	_ = e.Export(context.Background(), runtimeinfo.NewSnapshot(
		runtimeinfo.Point{Metric: depth, Number: 4}, runtimeinfo.Point{Metric: same, Number: 5}))
	e.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", nil))
	fmt.Println(e.Skipped())
	// Output:
	// 1
}

func ExampleName() {
	fmt.Println(prom.Name(&runtimeinfo.Metric{Name: "queue.delay", Unit: "s", Kind: runtimeinfo.KindGauge}))
	fmt.Println(prom.Name(&runtimeinfo.Metric{Name: "queue.jobs", Unit: "{job}", Kind: runtimeinfo.KindCounter}))
	// Output:
	// gmpulse_queue_delay_seconds
	// gmpulse_queue_jobs_total
}
