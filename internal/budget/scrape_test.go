// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/internal/sampler"
)

// discardedResponse is an http.ResponseWriter that only counts bytes.
type discardedResponse struct {
	header http.Header
	n      int
}

func (p *discardedResponse) Header() http.Header         { return p.header }
func (p *discardedResponse) WriteHeader(int)             {}
func (p *discardedResponse) Write(b []byte) (int, error) { p.n += len(b); return len(b), nil }

func get(tb testing.TB, h http.Handler) func() {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "text/plain")
	scrape := func() int {
		p := &discardedResponse{header: http.Header{}}
		h.ServeHTTP(p, r)
		return p.n
	}
	if n := scrape(); n < 5_000 {
		tb.Errorf("the page has %d bytes, want at least 5,000", n)
	}
	return func() { scrape() }
}

func exporter(tb testing.TB) *prom.Exporter {
	tb.Helper()
	e, err := prom.New(prom.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	r := sampler.NewReader(sampler.Config{})
	for range 2 {
		r.Read(sampler.Tick{Time: time.Now()})
	}
	if err := e.Export(tb.Context(), r.Snapshot()); err != nil {
		tb.Fatal(err)
	}
	return e
}

func registryAllocations(tb testing.TB) float64 {
	tb.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(exporter(tb))
	return allocations(get(tb, promhttp.HandlerFor(r, promhttp.HandlerOpts{})))
}

func scrapeAllocations(tb testing.TB) float64 {
	tb.Helper()
	return allocations(get(tb, exporter(tb).Handler()))
}
