// SPDX-License-Identifier: Apache-2.0

// Package otlphttp sends metrics and events over OTLP/HTTP, configured by the
// environment:
//
//	e, err := otlphttp.New(ctx, otlphttp.Config{})
//	a, err := agent.Start(agent.WithExporter("otlp", e))
//
// It honours OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS, _TIMEOUT, _COMPRESSION,
// _CERTIFICATE, _CLIENT_KEY, _CLIENT_CERTIFICATE and _INSECURE, each with METRICS_ or
// LOGS_ before the last word for one of the two signals, and
// OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, as the exporters of the
// OpenTelemetry SDK do which it is made of. Without any of them it sends to
// https://localhost:4318.
//
// It is a package apart because those exporters link gRPC, which is 10 MB. For a
// gRPC transport give the SDK's own exporters to [otlp.New].
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

	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/internal/redact"
)

// Config configures what the environment does not.
type Config struct {
	// Metrics and Logs are options for the SDK's exporters, which overrule the
	// environment.
	Metrics []otlpmetrichttp.Option
	Logs    []otlploghttp.Option
	// Process is that of [otlp.Config].
	Process bool
	// NoLogs sends no events: for backends that take metrics only.
	NoLogs bool
}

// New returns an exporter that sends over HTTP. It dials nobody. Retries of the
// SDK's exporters are off: the agent counts what failed and hands events over again.
// It returns an error for an address in the environment that is none: the SDK would
// log that, where anybody hears it, and send to localhost.
func New(ctx context.Context, c Config) (*otlp.Exporter, error) {
	if p := os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"); p != "" && p != "http/protobuf" {
		return nil, fmt.Errorf("otlphttp: OTEL_EXPORTER_OTLP_PROTOCOL=%q: only http/protobuf is spoken here; give the exporters of the SDK for another protocol to otlp.New", p)
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
	config := otlp.Config{Metrics: metrics, Process: c.Process}
	if !c.NoLogs {
		logs, err := otlploghttp.New(ctx, append([]otlploghttp.Option{
			otlploghttp.WithRetry(otlploghttp.RetryConfig{}),
		}, c.Logs...)...)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("otlphttp: logs: %w", err), metrics.Shutdown(ctx))
		}
		config.Logs = logs
	}
	return otlp.New(config)
}

// checkEndpoints returns which addresses in the environment are none.
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
