// SPDX-License-Identifier: Apache-2.0

package exporters_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/exporters/webhook"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// exporter is an exporter whose methods need a receiver.
type exporter struct{ exported int }

func (e *exporter) Export(context.Context, *runtimeinfo.Snapshot) error { e.exported++; return nil }
func (e *exporter) Shutdown(context.Context) error                      { e.exported++; return nil }

type metricExporter struct{ sdkmetric.Exporter }

type logExporter struct{ sdklog.Exporter }

// TestNewRefusesTypedNils sets each field of an interface type to a nil pointer, which a program gets
// when it ignores an error.
func TestNewRefusesTypedNils(t *testing.T) {
	for field, create := range map[string]func() error{
		"exporter": func() error { _, err := spool.New((*exporter)(nil), spool.Config{Name: "a"}); return err },
		"Metrics":  func() error { _, err := otlp.New(otlp.Config{Metrics: (*metricExporter)(nil)}); return err },
		"Logs":     func() error { _, err := otlp.New(otlp.Config{Logs: (*logExporter)(nil)}); return err },
		"LoggerProvider": func() error {
			_, err := otlp.New(otlp.Config{LoggerProvider: (*sdklog.LoggerProvider)(nil)})
			return err
		},
		"Collectors": func() error {
			_, err := prom.New(prom.Config{Collectors: []prometheus.Collector{prometheus.Collector((*prometheus.Registry)(nil))}})
			return err
		},
		"Client": func() error {
			_, err := webhook.New(webhook.Config{URL: "https://example.com/", Client: (*http.Client)(nil)})
			return err
		},
		"Bundles": func() error { _, err := page.New(page.Config{Bundles: (*evidence.Store)(nil)}); return err },
		"Assets":  func() error { _, err := page.New(page.Config{Assets: (*os.Root)(nil).FS()}); return err },
	} {
		t.Run(field, func(t *testing.T) {
			if err := create(); err == nil || !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), "nil") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

var _ exporters.Exporter = (*exporter)(nil)
