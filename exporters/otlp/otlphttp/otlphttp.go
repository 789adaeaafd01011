// SPDX-License-Identifier: Apache-2.0

// Package otlphttp exports metrics and events over OTLP/HTTP, configured by the
// environment:
//
//	e, err := otlphttp.New(ctx, otlphttp.Config{})
//	a, err := agent.Start(agent.WithExporter("otlp", e, engine.Every(otlp.Interval())))
//
// It uses the OTLP exporters of the OpenTelemetry SDK and so honors
// OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS, _TIMEOUT, _COMPRESSION, _CERTIFICATE,
// _CLIENT_KEY, _CLIENT_CERTIFICATE and _INSECURE, the same variables for one signal
// (OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT and so on), and
// OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE. The default endpoint is
// https://localhost:4318.
//
// The package is separate from otlp because those exporters link gRPC, which adds
// 10 MB to a binary. To send over gRPC, pass the SDK's gRPC exporters to [otlp.New].
package otlphttp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/internal/redact"
)

// Config configures what the environment does not. The zero value sends metrics and
// events.
type Config struct {
	// Metrics are options for the SDK's metric exporter. They override the
	// environment. Default: none.
	Metrics []otlpmetrichttp.Option
	// Logs are options for the SDK's log exporter, likewise.
	Logs []otlploghttp.Option
	// Selection chooses the metrics, see [otlp.Config]. The zero value is the default set.
	Selection exporters.Selection
	// Process includes the metrics of the process, see [otlp.Config]. Default: false.
	Process bool
	// NoLogs disables the export of events, for backends that accept only metrics.
	// Default: false.
	NoLogs bool
}

// New returns an exporter that sends over HTTP. It makes no connection. It disables
// the retries of the SDK's exporters, because the agent exports again what failed. It
// returns an error if an endpoint in the environment is malformed: the SDK would only
// log that and send to localhost.
func New(ctx context.Context, c Config) (*otlp.Exporter, error) {
	if p := os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"); p != "" && p != "http/protobuf" {
		return nil, fmt.Errorf("otlphttp: OTEL_EXPORTER_OTLP_PROTOCOL=%q: only http/protobuf is supported; for another protocol pass the SDK's exporters to otlp.New", p)
	}
	if err := checkEndpoints(); err != nil {
		return nil, err
	}
	metrics, err := otlpmetrichttp.New(ctx, append([]otlpmetrichttp.Option{
		otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}),
	}, c.Metrics...)...)
	if err != nil {
		return nil, fmt.Errorf("otlphttp: metrics: %w", err)
	}
	config := otlp.Config{Metrics: metrics, Selection: c.Selection, Process: c.Process}
	if !c.NoLogs {
		logs, err := otlploghttp.New(ctx, append([]otlploghttp.Option{
			otlploghttp.WithRetry(otlploghttp.RetryConfig{}),
		}, c.Logs...)...)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("otlphttp: logs: %w", err), metrics.Shutdown(ctx))
		}
		config.Logs = logs
	}
	return otlp.New(config) //nolint:contextcheck // the attributes of the SDK need no context
}

// checkEndpoints returns an error that names every malformed endpoint in the environment.
func checkEndpoints() error {
	var errs []error
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"} {
		value := strings.TrimSpace(os.Getenv(name))
		if value == "" {
			continue
		}
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, fmt.Errorf("otlphttp: %s=%q: want an http or https address, such as http://localhost:4318", name, redact.URL(value)))
		}
	}
	return errors.Join(errs...)
}
