// SPDX-License-Identifier: Apache-2.0

package otlphttp_test

import (
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/otlp/otlphttp"
)

// The SDK would log a malformed endpoint and send to localhost.
func TestNewRejectsMalformedEndpoints(t *testing.T) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"} {
		for _, bad := range []string{"::::", "localhost:4318", "grpc://collector:4317", "http://", "https://me:secret@[collector"} {
			t.Run(name+" "+bad, func(t *testing.T) {
				t.Setenv(name, bad)
				_, err := otlphttp.New(t.Context(), otlphttp.Config{})
				if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v", err)
				}
			})
		}
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "http://collector:4318/prefix")
			e, err := otlphttp.New(t.Context(), otlphttp.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
