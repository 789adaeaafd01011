// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/gmpulse/gmpulse/exporters/prom"
)

// BenchmarkScrape scrapes a live snapshot: through the collector in a registry, and
// through the handler, with and without client_golang's collectors, which read /proc
// and runtime/metrics at each scrape.
func BenchmarkScrape(b *testing.B) {
	e := newExporter(b, prom.Config{})
	export(b, e, live(b))
	own := prometheus.NewRegistry()
	own.MustRegister(e)
	b.Run("collector/gather", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := own.Gather(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("collector/text", func(b *testing.B) {
		b.ReportAllocs()
		var written int64
		for b.Loop() {
			families, err := own.Gather()
			if err != nil {
				b.Fatal(err)
			}
			w := &counter{}
			for _, f := range families {
				if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
					b.Fatal(err)
				}
			}
			written = w.n
		}
		b.ReportMetric(float64(written), "page-bytes")
	})
	small := newExporter(b, prom.Config{OnlyOwn: true})
	export(b, small, live(b))
	for _, c := range []struct {
		name     string
		exporter *prom.Exporter
		header   [2]string
	}{
		{"own/text", small, [2]string{"Accept", acceptText}},
		{"own/openmetrics", small, [2]string{"Accept", acceptOpenMetrics}},
		{"own/gzip", small, [2]string{"Accept-Encoding", "gzip"}},
		{"page/text", e, [2]string{"Accept", acceptText}},
		{"page/openmetrics", e, [2]string{"Accept", acceptOpenMetrics}},
		{"page/gzip", e, [2]string{"Accept-Encoding", "gzip"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			e, header := c.exporter, c.header
			b.ReportAllocs()
			r := httptest.NewRequestWithContext(b.Context(), "GET", "/metrics", nil)
			r.Header.Set(header[0], header[1])
			var written int
			for b.Loop() {
				w := &discard{header: http.Header{}}
				e.Handler().ServeHTTP(w, r)
				written = int(w.n)
			}
			b.ReportMetric(float64(written), "page-bytes")
		})
	}
}

// BenchmarkExport measures the cost per tick.
func BenchmarkExport(b *testing.B) {
	e := newExporter(b, prom.Config{})
	s := live(b)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Export(ctx, s); err != nil {
			b.Fatal(err)
		}
	}
}

// counter discards and counts what is written.
type counter struct{ n int64 }

var _ io.Writer = (*counter)(nil)

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// discard is a response that is counted and discarded.
type discard struct {
	counter
	header http.Header
}

var _ http.ResponseWriter = (*discard)(nil)

func (s *discard) Header() http.Header { return s.header }
func (s *discard) WriteHeader(int)     {}
