// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/gmpulse/gmpulse/internal/kubernetes"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// describe returns the resource of this process. Attributes that the environment or
// [WithResource] gives override detected ones.
func describe(given *resource.Resource) *resource.Resource {
	hostname, _ := os.Hostname() // empty if unknown
	attrs := append(kubernetes.Attributes(os.Getenv, os.DirFS("/"), hostname), semconv.ServiceName(programName()))
	if v := version(); v != "" {
		attrs = append(attrs, semconv.ServiceVersion(v))
	}
	detected, _ := resource.New(context.Background(), // an error means that an attribute is missing
		resource.WithService(), resource.WithHost(), resource.WithProcessPID(), resource.WithProcessRuntimeVersion(),
		resource.WithTelemetrySDK(), resource.WithAttributes(attrs...))
	r := merge(detected, given)
	if id := instance(r); id != "" && !given.Set().HasValue(semconv.ServiceInstanceIDKey) {
		r = merge(r, resource.NewSchemaless(semconv.ServiceInstanceID(id)))
	}
	if serviceName(r) == "" {
		r = merge(r, resource.NewSchemaless(semconv.ServiceName(programName())))
	}
	return r
}

// merge returns a resource with the attributes of both. An attribute of b overrides
// one of a. If a and b have different schema URLs, the resource has none.
func merge(a, b *resource.Resource) *resource.Resource {
	r, _ := resource.Merge(a, b) // the error is about the schema URLs
	return r
}

// instance returns the service.instance.id that the semantic conventions recommend in
// Kubernetes, or "" if the process is not in a pod or the name of its container is unknown.
// Elsewhere the SDK's random id remains. Restarts of a container have the same id; ids of
// records have the start time of the agent too.
func instance(r *resource.Resource) string {
	var names []string
	for _, key := range []attribute.Key{semconv.K8SNamespaceNameKey, semconv.K8SPodNameKey, semconv.K8SContainerNameKey} {
		v, _ := r.Set().Value(key)
		if v.String() == "" {
			return ""
		}
		names = append(names, v.String())
	}
	return strings.Join(names, ".")
}

func serviceName(r *resource.Resource) string {
	v, _ := r.Set().Value(semconv.ServiceNameKey)
	return v.String()
}

// attributesOf returns the attributes of snapshots. It leaves out empty ones and
// telemetry.sdk.*, which describes the SDK that sends OTLP.
func attributesOf(r *resource.Resource) (attrs []runtimeinfo.Attr) {
	for _, kv := range r.Attributes() {
		if value := kv.Value.String(); value != "" && !strings.HasPrefix(string(kv.Key), "telemetry.sdk.") {
			attrs = append(attrs, runtimeinfo.Attr{Key: string(kv.Key), Value: value})
		}
	}
	return attrs
}

// Resource returns the resource that describes the process in every snapshot, with the types
// of its attributes and telemetry.sdk.*. Use it for the application's own providers, so that
// spans have the same service.name and service.instance.id as the metrics:
//
//	tp := sdktrace.NewTracerProvider(sdktrace.WithResource(a.Resource()), sdktrace.WithBatcher(exporter))
//
// A disabled agent has a resource too.
func (a *Agent) Resource() *resource.Resource { return a.resource }

// programName returns the last element of the path of the main package or, without build
// information, of the executable.
func programName() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Path != "" && info.Path != "command-line-arguments" {
		return path.Base(info.Path)
	}
	return filepath.Base(os.Args[0])
}

// version returns the version of the main module or, if it has none, its revision.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
