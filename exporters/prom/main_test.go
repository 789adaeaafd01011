// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"flag"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/hostfield"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write testdata/names.golden and docs/metrics.md instead of comparing")
	m.Run()
}

// golden compares got with a file, or writes the file with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == got {
		return
	}
	a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("%s, line %d; if this is intended: go test ./exporters/prom -update\n want %s\n got  %s", path, i+1, a[i], b[i])
		}
	}
	t.Fatalf("%s has %d lines, want %d; if this is intended: go test ./exporters/prom -update", path, len(a), len(b))
}

// own is the configuration with every metric.
func own() prom.Config {
	all, err := exporters.NewSelection("all")
	if err != nil {
		panic(err)
	}
	return prom.Config{Selection: all}
}

// whole is own with the families of client_golang.
func whole() prom.Config {
	c := own()
	c.GoCollectors = true
	return c
}

func newExporter(tb testing.TB, c prom.Config) *prom.Exporter {
	tb.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	e, err := prom.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func export(tb testing.TB, e *prom.Exporter, s *runtimeinfo.Snapshot) {
	tb.Helper()
	if err := e.Export(tb.Context(), s); err != nil {
		tb.Fatal(err)
	}
}

// read returns a live snapshot with every value that a test can supply.
func read(tb testing.TB, p *catalogue.Process, gauges ...float64) *runtimeinfo.Snapshot {
	tb.Helper()
	h := host.NewSample()
	for f := range hostfield.Count {
		h.Set(hostfield.Field(f), float64(f)+0.25)
	}
	now := time.Now()
	for range 3 {
		p.Pulse(time.Microsecond)
	}
	return p.Sample(sampler.Tick{Time: now, Host: h}, func(d *catalogue.Draft) {
		d.Groups(now, nil,
			runtimeinfo.SpanGroup{Name: "GET /orders", Active: 3, Oldest: now.Add(-time.Second)},
			runtimeinfo.SpanGroup{Name: "a \"quoted\"\nname with \xff in it", Active: 1, Oldest: now})
		d.Exporter("prom", 1, 7, 0)
		d.Exporter("fluentd", 0, 0, 2)
		metrics := d.Snapshot().Metrics()
		first := slices.IndexFunc(metrics, func(m *runtimeinfo.Metric) bool { return m.Subsystem == runtimeinfo.SubsystemUser })
		for i, v := range gauges {
			d.Add(metrics[first+i], v)
		}
	})
}

func live(tb testing.TB) *runtimeinfo.Snapshot {
	tb.Helper()
	p := catalogue.NewProcess(
		runtimeinfo.Attr{Key: "service.name", Value: "checkout"}, runtimeinfo.Attr{Key: "service.instance.id", Value: "7f3a"})
	read(tb, p) // quantiles need two readings
	return read(tb, p)
}

const (
	acceptText        = "text/plain;version=0.0.4"
	acceptOpenMetrics = "application/openmetrics-text;version=1.0.0"
	acceptProtobuf    = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)

// scrape returns the page in the given format.
func scrape(tb testing.TB, e *prom.Exporter, accept string) string {
	tb.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(tb.Context(), "GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	e.Handler().ServeHTTP(w, r)
	if w.Code != 200 {
		tb.Fatalf("HTTP %d: %s", w.Code, w.Body)
	}
	if kind, _, _ := strings.Cut(accept, ";"); !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
		tb.Fatalf("Content-Type %s, want %s", w.Header().Get("Content-Type"), kind)
	}
	return w.Body.String()
}

func parse(tb testing.TB, page string) map[string]*dto.MetricFamily {
	tb.Helper()
	return parseReader(tb, strings.NewReader(page))
}

func parseReader(tb testing.TB, page io.Reader) map[string]*dto.MetricFamily {
	tb.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(page)
	if err != nil {
		tb.Fatal(err)
	}
	return families
}

// ours returns the names with the gmpulse prefix, sorted.
func ours(families map[string]*dto.MetricFamily) []string {
	var names []string
	for name := range families {
		if strings.HasPrefix(name, "gmpulse_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
