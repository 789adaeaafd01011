// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"math"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// TestPageHasUnusualValues scrapes numbers and label values that need care in the
// text formats.
func TestPageHasUnusualValues(t *testing.T) {
	for name, s := range map[string]*runtimeinfo.Snapshot{"numbers": unusualNumbers(), "labels": unusualLabels()} {
		for _, accept := range []string{acceptText, acceptOpenMetrics} {
			t.Run(name+"/"+accept, func(t *testing.T) {
				e := newExporter(t, own())
				export(t, e, s)
				want, got := samplesOfSnapshot(s), samplesOfPage(t, scrape(t, e, accept))
				for id, v := range want {
					if values := got[id]; len(values) != 1 || values[0] != v && !(math.IsNaN(v) && math.IsNaN(values[0])) {
						t.Errorf("%s is %v, want once %v", id, values, v)
					}
				}
				if len(got) != len(want) {
					t.Errorf("%d samples, want %d", len(got), len(want))
				}
			})
		}
	}
}

func unusualNumbers() *runtimeinfo.Snapshot {
	var points []runtimeinfo.Point
	m := &runtimeinfo.Metric{Name: "n", Kind: runtimeinfo.KindGauge, Keys: []string{"case"}}
	c := &runtimeinfo.Metric{Name: "c", Kind: runtimeinfo.KindCounter, Unit: "s", Help: "Its \"help\" has a \\ and\na line."}
	h := &runtimeinfo.Metric{Name: "h", Kind: runtimeinfo.KindHistogram, Unit: "By"}
	for i, v := range []float64{
		0, math.Copysign(0, -1), 1, -1, 0.1, 999999, -999999, 1e6, 1e6 + 1, 1e7, 123456789, 1e15, 1e20, 1e21, 1e-4, 1e-5, -1e-7,
		math.Pi, math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1), 1 << 53, 0.30000000000000004,
	} {
		points = append(points, runtimeinfo.Point{Metric: m, Labels: []string{string(rune('a' + i))}, Number: v})
	}
	points = append(points, runtimeinfo.Point{Metric: c, Number: 1e9}, runtimeinfo.Point{Metric: h, Histogram: &runtimeinfo.Histogram{
		Bounds: []float64{1e-9, 0.5, 1, 65536, 1 << 30}, Counts: []uint64{0, 1, 999_999, 1 << 60, 3, 4}, Sum: 1e300,
	}})
	return runtimeinfo.NewSnapshot(points...)
}

// unusualLabels has a metric whose attribute sorts between its keys, values that
// must be escaped, and duplicates.
func unusualLabels() *runtimeinfo.Snapshot {
	m := &runtimeinfo.Metric{Name: "m", Kind: runtimeinfo.KindGauge, Attr: runtimeinfo.Attr{Key: "m", Value: "\"own\"\n"}, Keys: []string{"z", "a"}}
	h := &runtimeinfo.Metric{Name: "h", Kind: runtimeinfo.KindHistogram, Keys: []string{"z", "a"}}
	apart := &runtimeinfo.Metric{Name: "m", Kind: runtimeinfo.KindGauge, Attr: runtimeinfo.Attr{Key: "m", Value: "other"}, Keys: []string{"z", "a"}}
	var points []runtimeinfo.Point
	for _, labels := range [][]string{{"", ""}, {"a\nb", `c\d`}, {`"`, "\xff"}, {"日本", "\\\n\""}, {"", ""}, {`"`, "\xfe"}, {"b", "a"}} {
		points = append(points,
			runtimeinfo.Point{Metric: m, Labels: labels, Number: 1},
			runtimeinfo.Point{Metric: h, Labels: labels, Histogram: &runtimeinfo.Histogram{Bounds: []float64{1}, Counts: []uint64{1, 2}, Sum: 3}},
			runtimeinfo.Point{Metric: apart, Labels: labels, Number: 2}) // not next to the rest of its family
	}
	return runtimeinfo.NewSnapshot(points...)
}

// TestFormatAndCompressionFollowTheRequest checks the format, the compression and the
// name[] filter of a scrape.
func TestFormatAndCompressionFollowTheRequest(t *testing.T) {
	e := newExporter(t, whole())
	export(t, e, live(t))
	for _, c := range []struct {
		encoding, accept, query string
		gzip                    bool
		kind                    string
		ours, theirs            bool
	}{
		{"", "", "", false, "text/plain", true, true},
		{"gzip", acceptText, "", true, "text/plain", true, true},
		{"br, gzip;q=0.5", acceptText, "", true, "text/plain", true, true},
		{"deflate;q=1, gzip;q=0", acceptText, "", false, "text/plain", true, true},
		{"gzip;q=0.0", acceptText, "", false, "text/plain", true, true},
		{"identity", acceptOpenMetrics, "", false, "application/openmetrics-text", true, true},
		{"gzip", acceptOpenMetrics, "", true, "application/openmetrics-text", true, true},
		{"", acceptText, "?name[]=go_goroutines", false, "text/plain", false, true},
		{"", acceptText, "?name%5B%5D=gmpulse_goroutines", false, "text/plain", true, false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics"+c.query, nil)
		r.Header.Set("Accept", c.accept)
		if c.encoding != "" {
			r.Header.Set("Accept-Encoding", c.encoding)
		}
		w := httptest.NewRecorder()
		e.Handler().ServeHTTP(w, r)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != c.gzip {
			t.Errorf("%+v: gzip %v", c, got)
			continue
		}
		page := w.Body.String()
		if c.gzip {
			page = unzip(t, w.Body)
		}
		if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, c.kind) {
			t.Errorf("%+v: Content-Type %s", c, kind)
		}
		ours := strings.Contains(page, "\ngmpulse_goroutines ")
		theirs := strings.Contains(page, "\ngo_goroutines ")
		if ours != c.ours || theirs != c.theirs {
			t.Errorf("%+v: ours %v, client_golang's %v", c, ours, theirs)
		}
	}
}

// TestProtobuf decodes the format that Prometheus requests when it scrapes native histograms.
func TestProtobuf(t *testing.T) {
	e := newExporter(t, whole())
	export(t, e, live(t))
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
	r.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeProtoDelim)))
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, r)
	dec := expfmt.NewDecoder(w.Body, expfmt.ResponseFormat(w.Header()))
	names := map[string]int{}
	for {
		var f dto.MetricFamily
		if err := dec.Decode(&f); err != nil {
			break
		}
		names[f.GetName()]++
	}
	for _, name := range []string{"gmpulse_goroutines", "go_goroutines", "promhttp_metric_handler_errors_total", "target_info"} {
		if names[name] != 1 {
			t.Errorf("%d families named %s, want 1", names[name], name)
		}
	}
}

// TestOwnFamiliesTakePrecedence has a collector that collects a gmpulse family
// without having described it.
func TestOwnFamiliesTakePrecedence(t *testing.T) {
	e := newExporter(t, prom.Config{Collectors: []prometheus.Collector{conflicting{}}})
	export(t, e, live(t))
	scrape(t, e, acceptText)
	page := scrape(t, e, acceptText)
	if strings.Contains(page, "gmpulse_goroutines -7") || !strings.Contains(page, "\ngmpulse_goroutines ") {
		t.Error("the collector's value is served")
	}
	if !strings.Contains(page, "promhttp_metric_handler_errors_total{cause=\"gathering\"} 1\n") {
		t.Error("the conflict is not counted")
	}
}

type conflicting struct{}

func (conflicting) Describe(chan<- *prometheus.Desc) {}

func (conflicting) Collect(ch chan<- prometheus.Metric) {
	d := prometheus.NewDesc("gmpulse_goroutines", "Mine.", nil, nil)
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, -7)
}
