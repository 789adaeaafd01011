package prom_test

import (
	"io"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/gmpulse/gmpulse/exporters/prom"
)

// BenchmarkScrape is one scrape of a live snapshot: of the collector in a
// registry of its own, and of the page, whose client_golang collectors read
// /proc and runtime/metrics anew each time.
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
	for name, header := range map[string][2]string{
		"page/text":        {"Accept", acceptText},
		"page/openmetrics": {"Accept", acceptOpenMetrics},
		"page/gzip":        {"Accept-Encoding", "gzip"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := httptest.NewRequestWithContext(b.Context(), "GET", "/metrics", nil)
			r.Header.Set(header[0], header[1])
			var written int
			for b.Loop() {
				w := httptest.NewRecorder()
				e.Handler().ServeHTTP(w, r)
				written = w.Body.Len()
			}
			b.ReportMetric(float64(written), "page-bytes")
		})
	}
}

// BenchmarkExport is what a tick pays.
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

// counter is io.Discard that counts.
type counter struct{ n int64 }

var _ io.Writer = (*counter)(nil)

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
