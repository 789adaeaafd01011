// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	vm "github.com/VictoriaMetrics/metrics"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// discardedResponse is an http.ResponseWriter that only counts bytes.
type discardedResponse struct {
	header http.Header
	n      int
}

func (r *discardedResponse) Header() http.Header { return r.header }
func (r *discardedResponse) WriteHeader(int)     {}
func (r *discardedResponse) Write(b []byte) (int, error) {
	r.n += len(b)
	return len(b), nil
}

// page is a handler with a request for its metrics page.
type page struct {
	h       http.Handler
	request *http.Request
}

func newPage(h http.Handler, accept, encoding string) page {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	if encoding != "" {
		r.Header.Set("Accept-Encoding", encoding)
	}
	return page{h, r}
}

// get scrapes the page and returns its size in bytes.
func (p page) get() int {
	w := &discardedResponse{header: http.Header{}}
	p.h.ServeHTTP(w, p.request)
	return w.n
}

// liveSnapshot returns a snapshot with all values that this machine has.
func liveSnapshot() *runtimeinfo.Snapshot { return liveSnapshots(1)[0] }

// liveSnapshots returns n consecutive snapshots of this process.
func liveSnapshots(n int) (all []*runtimeinfo.Snapshot) {
	p := catalogue.NewProcess(runtimeinfo.Attr{Key: "service.name", Value: "orders"})
	h := host.NewReader(host.Config{})
	tick := sampler.Tick{Time: time.Now(), Host: h.Read(context.Background())}
	p.Read(tick)
	for range n {
		tick.Time = tick.Time.Add(time.Second)
		all = append(all, p.Sample(tick, func(d *catalogue.Draft) {
			d.Groups(tick.Time, nil,
				runtimeinfo.SpanGroup{Name: "GET /orders", Active: 3, Oldest: tick.Time}, runtimeinfo.SpanGroup{Name: "POST /orders", Active: 1, Oldest: tick.Time})
			d.Exporter("prometheus", 1, 0, 0)
			d.Exporter("fluentd", 0, 0, 0)
		}))
	}
	return all
}

func exporter(c prom.Config) (*prom.Exporter, error) {
	e, err := prom.New(c)
	if err != nil {
		return nil, err
	}
	return e, e.Export(context.Background(), liveSnapshot())
}

func handler(all ...prometheus.Collector) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(all...)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

func printScrape(e effort) error {
	const text, open = "text/plain", "application/openmetrics-text;version=1.0.0"
	small, err := exporter(prom.Config{})
	if err != nil {
		return err
	}
	whole, err := exporter(prom.Config{GoCollectors: true})
	if err != nil {
		return err
	}
	pages := []struct {
		name string
		page page
	}{
		{"client_golang Go", newPage(handler(collectors.NewGoCollector()), text, "")},
		{"client_golang Go and process", newPage(handler(goAndProcess()...), text, "")},
		{"client_golang Go and process, OpenMetrics", newPage(handler(goAndProcess()...), open, "")},
		{"client_golang Go and process, gzip", newPage(handler(goAndProcess()...), text, "gzip")},
		{"client_golang Go with all rules", newPage(handler(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll))), text, "")},
		{"VictoriaMetrics metrics", newPage(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { vm.WriteProcessMetrics(w) }), text, "")},
		{"**gmpulse**", newPage(small.Handler(), text, "")},
		{"**gmpulse**, OpenMetrics", newPage(small.Handler(), open, "")},
		{"**gmpulse**, gzip", newPage(small.Handler(), text, "gzip")},
		{"**gmpulse** in the user's registry", newPage(handler(whole), text, "")},
		{"**gmpulse** with client_golang's Go and process", newPage(whole.Handler(), text, "")},
		{"**gmpulse** with client_golang's Go and process, gzip", newPage(whole.Handler(), text, "gzip")},
	}
	var cases []sidebyside.Case
	for _, p := range pages {
		cases = append(cases, sidebyside.Op(p.name, func() { p.page.get() }))
	}
	head("page", "× client_golang Go", "CPU", "page", "allocated", "allocations")
	for i, r := range sidebyside.Turns(e.turns, cases) {
		row(r.Name, ratio(r.Ratio), duration(r.CPU), size(float64(pages[i].page.get())), size(r.Bytes), number(r.Allocs))
	}
	return nil
}
