// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gmpulse/gmpulse/exporters/prom"
)

// faulty is a collector whose methods fail in a way.
type faulty struct {
	prometheus.Gauge

	describe, collect func()
}

func (f *faulty) Describe(ch chan<- *prometheus.Desc) {
	f.describe()
	f.Gauge.Describe(ch)
}

func (f *faulty) Collect(ch chan<- prometheus.Metric) {
	f.Gauge.Collect(ch)
	f.collect()
}

func fine() {}

func gauge() prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: "shop_orders", Help: "Orders."})
}

// TestNewRefusesFaultyCollectors has collectors that cannot be registered.
func TestNewRefusesFaultyCollectors(t *testing.T) {
	for name, c := range map[string]prometheus.Collector{
		"nil":       nil,
		"typed nil": (*faulty)(nil),
		"panics":    &faulty{gauge(), func() { panic("no database") }, fine},
		"Goexit":    &faulty{gauge(), runtime.Goexit, fine},
	} {
		if _, err := prom.New(prom.Config{Collectors: []prometheus.Collector{c}}); err == nil || !strings.HasPrefix(err.Error(), "prom: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFaultyCollectorsFailNoScrape has collectors that panic at a scrape. The registry collects on
// goroutines of its own, on which only the wrapper can recover the panic.
func TestFaultyCollectorsFailNoScrape(t *testing.T) {
	for name, f := range map[string]func(){"panics": func() { panic("no database") }, "Goexit": runtime.Goexit} {
		e := newExporter(t, prom.Config{Collectors: []prometheus.Collector{&faulty{gauge(), fine, f}}})
		export(t, e, live(t))
		w := httptest.NewRecorder()
		for range 2 { // the error counts from the next scrape on
			w = httptest.NewRecorder()
			e.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		}
		page := w.Body.String()
		if w.Code != http.StatusOK || !strings.Contains(page, "gmpulse_goroutine_user ") || !strings.Contains(page, "promhttp_metric_handler_errors_total{cause=\"gathering\"} 1") {
			t.Errorf("%s: HTTP %d:\n%s", name, w.Code, page)
		}
	}
}
