// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
)

// newProvider returns a tracer provider. It exports spans by OTLP over HTTP if the
// standard variable names an endpoint:
//
//	OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 go run ./examples/quickstart
//
// The spans have the resource of the agent, so that they and the metrics have the same
// service.name and service.instance.id, in Kubernetes with the pod. WrapExporter adds the
// state of the process to long spans. The other
// OTEL_EXPORTER_OTLP_* variables apply as well, except that the protocol must be
// http/protobuf. gmpulse itself does not need spans to be exported.
func newProvider(ctx context.Context, a *agent.Agent) (*sdktrace.TracerProvider, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return sdktrace.NewTracerProvider(), nil
	}
	if p := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"); p != "http/protobuf" {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q; this example supports only http/protobuf, on port 4318", p)
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	return sdktrace.NewTracerProvider(sdktrace.WithResource(a.Resource()), sdktrace.WithBatcher(a.WrapExporter(exporter))), nil
}
