// SPDX-License-Identifier: Apache-2.0

// Package identity returns the resource and the instrumentation scope of what gmpulse sends as OTLP.
package identity

import (
	"context"
	"encoding/json"
	"runtime/debug"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Name is the name of the instrumentation scope.
const Name = "github.com/gmpulse/gmpulse"

// Scope returns the instrumentation scope. It has the version of the module, if the program's build
// information has one, and the schema URL of the semantic conventions.
func Scope() instrumentation.Scope {
	return instrumentation.Scope{Name: Name, Version: moduleVersion(), SchemaURL: semconv.SchemaURL}
}

// moduleVersion returns the version of gmpulse that the program was built with, or "".
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path != Name {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version != "(devel)" {
			return m.Version
		}
	}
	return ""
}

// SDKAttributes returns the telemetry.sdk.* attributes, which every resource of the SDK
// has. Snapshots do not have them.
func SDKAttributes() []attribute.KeyValue {
	r, err := resource.New(context.Background(), resource.WithTelemetrySDK())
	if err != nil {
		return nil // impossible: the detector does not fail
	}
	return r.Attributes()
}

// Resource returns the resource of s. sdk are the attributes of [SDKAttributes].
func Resource(s *runtimeinfo.Snapshot, sdk []attribute.KeyValue) *resource.Resource {
	kvs := make([]attribute.KeyValue, 0, len(sdk)+len(s.Resource))
	kvs = append(kvs, sdk...)
	for _, a := range s.Resource {
		kvs = append(kvs, attribute.KeyValue{Key: attribute.Key(Valid(a.Key)), Value: typed(a.Key, Valid(a.Value))})
	}
	return resource.NewWithAttributes(semconv.SchemaURL, kvs...)
}

// typed returns the value of a resource attribute with the type that the semantic
// conventions define for its key. The attributes of a snapshot are strings. typed returns
// a string if the value does not have the form of the type.
func typed(key, value string) attribute.Value {
	switch {
	case isInteger(key):
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return attribute.Int64Value(n)
		}
	case isBool(key):
		if b, err := strconv.ParseBool(value); err == nil {
			return attribute.BoolValue(b)
		}
	case isList(key):
		var list []string
		if strings.HasPrefix(value, "[") && json.Unmarshal([]byte(value), &list) == nil {
			return attribute.StringSliceValue(list)
		}
	}
	return attribute.StringValue(value)
}

// isInteger reports whether key is a resource attribute that the conventions define as an
// integer, as isBool and isList do for booleans and lists of strings.
func isInteger(key string) bool {
	switch key {
	case "faas.max_memory", "gcp.cloud_run.job.task_index", "host.cpu.cache.l2.size", "k8s.container.restart_count",
		"process.args_count", "process.exit.code", "process.group_leader.pid", "process.parent_pid", "process.pid",
		"process.real_user.id", "process.saved_user.id", "process.session_leader.pid", "process.user.id", "process.vpid":
		return true
	default:
		return false
	}
}

func isBool(key string) bool {
	switch key {
	case "browser.mobile", "faas.coldstart", "k8s.service.publish_not_ready_addresses", "process.interactive":
		return true
	default:
		return false
	}
}

func isList(key string) bool {
	switch key {
	case "aws.log.group.arns", "aws.log.group.names", "aws.log.stream.arns", "aws.log.stream.names", "browser.brands",
		"container.command_args", "container.image.repo_digests", "container.image.tags", "host.ip", "host.mac", "process.command_args":
		return true
	default:
		return false
	}
}

// Valid replaces invalid UTF-8, which protobuf rejects.
func Valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
