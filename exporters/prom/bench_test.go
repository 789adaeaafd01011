// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gmpulse/gmpulse/exporters/prom"
)

// BenchmarkScrape scrapes a live snapshot: through the collector in a registry, and through the
// handler, with the default metrics, with all, and with client_golang's collectors, which read
// /proc and runtime/metrics at each scrape.
func BenchmarkScrape(b *testing.B) {
	e := newExporter(b, prom.Config{})
	export(b, e, live(b))
	r := prometheus.NewRegistry()
	r.MustRegister(e)
	b.Run("collector/gather", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Gather(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, metrics := range []struct {
		name   string
		config prom.Config
	}{{"default", prom.Config{}}, {"all", own()}, {"all+go", whole()}} {
		e := newExporter(b, metrics.config)
		export(b, e, live(b))
		for _, format := range []struct{ name, accept, encoding string }{
			{"text", acceptText, ""}, {"openmetrics", acceptOpenMetrics, ""}, {"protobuf", acceptProtobuf, ""}, {"gzip", acceptText, "gzip"},
		} {
			b.Run(metrics.name+"/"+format.name, func(b *testing.B) {
				b.ReportAllocs()
				r := httptest.NewRequestWithContext(b.Context(), "GET", "/metrics", nil)
				r.Header.Set("Accept", format.accept)
				r.Header.Set("Accept-Encoding", format.encoding)
				var written int64
				for b.Loop() {
					w := &discard{header: http.Header{}}
					e.Handler().ServeHTTP(w, r)
					written = w.n
				}
				b.ReportMetric(float64(written), "page-bytes")
			})
		}
	}
}

// BenchmarkExport measures the cost per tick.
func BenchmarkExport(b *testing.B) {
	e := newExporter(b, whole())
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
