// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// started returns the resource of an agent and the attributes of its first snapshot.
func started(t *testing.T, opts ...agent.Option) (*resource.Resource, map[string]string) {
	t.Helper()
	first := make(chan *runtimeinfo.Snapshot, 1)
	a, _ := start(t, append(opts, agent.WithExporter("first", exporters.Func(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		select {
		case first <- s:
		default:
		}
		return nil
	})))...)
	attrs := map[string]string{}
	for _, x := range (<-first).Resource {
		attrs[x.Key] = x.Value
	}
	stop(t, a)
	return a.Resource(), attrs
}

func value(r *resource.Resource, key attribute.Key) attribute.Value {
	v, _ := r.Set().Value(key)
	return v
}

// The resource that an application gives its providers has the types of the conventions. It
// describes the process as snapshots do.
func TestResourceForTheApplicationsProviders(t *testing.T) {
	r, attrs := started(t)
	for key, want := range map[attribute.Key]attribute.Type{
		"process.pid": attribute.INT64, "service.name": attribute.STRING, "service.instance.id": attribute.STRING, "telemetry.sdk.language": attribute.STRING,
	} {
		if got := value(r, key); got.Type() != want {
			t.Errorf("%s is %v (%v)", key, got, got.Type())
		}
	}
	for key, v := range attrs {
		if got := value(r, attribute.Key(key)).String(); got != v || strings.HasPrefix(key, "telemetry.") {
			t.Errorf("snapshots have %s=%q, the resource %q", key, v, got)
		}
	}
	if len(attrs) != r.Len()-3 || int(value(r, "process.pid").AsInt64()) != os.Getpid() {
		t.Errorf("%v\n%v", attrs, r)
	}
	if _, err := resource.Merge(resource.Default(), r); err != nil || r.SchemaURL() != semconv.SchemaURL {
		t.Errorf("%v, schema %q", err, r.SchemaURL())
	}
}

// The resource of the application overrides what the agent detects, so that its spans and the
// snapshots have one identity.
func TestResourceOfTheApplication(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "team=a,deployment.environment.name=test")
	own := resource.NewWithAttributes("https://opentelemetry.io/schemas/1.26.0",
		semconv.ServiceName("shop"), semconv.ServiceInstanceID("i-1"), attribute.Int("team", 7))
	r, attrs := started(t, agent.WithResource(own), agent.WithResource(nil))
	want := map[string]string{"service.name": "shop", "service.instance.id": "i-1", "team": "7", "deployment.environment.name": "test"}
	for key, v := range want {
		if attrs[key] != v {
			t.Errorf("%s is %q, want %q", key, attrs[key], v)
		}
	}
	if value(r, "team").AsInt64() != 7 {
		t.Errorf("team is %v", value(r, "team"))
	}
}

// In a pod, the agent finds its attributes and the instance id that the conventions recommend.
func TestResourceInKubernetes(t *testing.T) {
	for name, v := range map[string]string{
		"KUBERNETES_SERVICE_HOST": "10.0.0.1", "POD_NAMESPACE": "shop", "POD_NAME": "checkout-7d9f8b6c5-x2x9k", "NODE_NAME": "node-1", "CONTAINER_NAME": "app",
	} {
		t.Setenv(name, v)
	}
	_, attrs := started(t)
	for key, want := range map[string]string{
		"k8s.namespace.name": "shop", "k8s.pod.name": "checkout-7d9f8b6c5-x2x9k", "k8s.node.name": "node-1", "k8s.container.name": "app",
		"k8s.deployment.name": "checkout", "service.instance.id": "shop.checkout-7d9f8b6c5-x2x9k.app",
	} {
		if attrs[key] != want {
			t.Errorf("%s is %q, want %q", key, attrs[key], want)
		}
	}
	_, attrs = started(t, agent.WithResource(resource.NewSchemaless(semconv.ServiceInstanceID("i-1"), semconv.K8SPodName("renamed"))))
	if attrs["service.instance.id"] != "i-1" || attrs["k8s.pod.name"] != "renamed" {
		t.Errorf("%v", attrs)
	}
	t.Setenv("CONTAINER_NAME", "") // two containers of the pod would have the same id
	if _, attrs = started(t); len(attrs["service.instance.id"]) != 36 {
		t.Errorf("service.instance.id is %q", attrs["service.instance.id"])
	}
}

// The well-formed attributes of a malformed variable are used, as by the SDK of the application.
// If the encoding is malformed, none is.
func TestPartlyMalformedResourceAttributes(t *testing.T) {
	for text, want := range map[string]string{"team=a,novalue": "a", "team=a,b=%zz": ""} {
		t.Setenv("OTEL_RESOURCE_ATTRIBUTES", text)
		_, attrs := started(t)
		if attrs["team"] != want {
			t.Errorf("%s: team is %q, want %q", text, attrs["team"], want)
		}
	}
}

// A disabled agent has a resource, so that a program can use it in any case.
func TestResourceOfDisabledAgent(t *testing.T) {
	a, err := agent.Start(agent.WithEnabled(false), agent.WithLogger(slog.New(slog.DiscardHandler)),
		agent.WithResource(resource.NewSchemaless(semconv.ServiceName("shop"))))
	if err != nil || value(a.Resource(), "service.name").AsString() != "shop" || !slices.Contains(keys(a.Resource()), "service.instance.id") {
		t.Errorf("%v, %v", err, a.Resource())
	}
}

func keys(r *resource.Resource) (all []string) {
	for _, kv := range r.Attributes() {
		all = append(all, string(kv.Key))
	}
	return all
}
