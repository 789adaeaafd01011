// SPDX-License-Identifier: Apache-2.0

// Package deptest holds the house in order: which package may import which, and
// what must never be linked, with the reason for each.
package deptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gmpulse/gmpulse"

// rooms lists, for each package of the library, what it may import beyond the
// standard library. Prefixes, relative to the module where they begin with ".".
// Programs (examples, cmd) may import anything.
var rooms = map[string][]string{
	"./runtimeinfo":                     {},
	"./runtimeinfo/sampler":             {"./runtimeinfo", "./runtimeinfo/host"},
	"./runtimeinfo/host":                {"github.com/shirou/gopsutil/v3/", "golang.org/x/sys/"},
	"./runtimeinfo/capacity":            {"./runtimeinfo", "./runtimeinfo/sampler", "./runtimeinfo/host"},
	"./runtimeinfo/evidence":            {"./runtimeinfo", "./runtimeinfo/goroutines", "./internal/cputime", "./internal/guard", "./internal/headroom", "./internal/profiles", "github.com/google/pprof/profile"},
	"./runtimeinfo/goroutines/leaktest": {},
	"./runtimeinfo/baseline":            {"./runtimeinfo", "./internal/rarity"},
	"./runtimeinfo/goroutines":          {"./runtimeinfo", "./internal/cputime", "./internal/headroom", "./internal/profiles", "github.com/google/pprof/profile"},
	"./tracectx":                        {"./runtimeinfo", "go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/trace", "go.opentelemetry.io/otel/trace/noop", "go.opentelemetry.io/otel/sdk/trace"},
	"./tracectx/exectrace":              {"./internal/cputime", "./internal/headroom", "./tracectx", "./runtimeinfo", "./runtimeinfo/goroutines", "go.opentelemetry.io/otel", "go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/trace", "go.opentelemetry.io/otel/sdk/trace", "golang.org/x/exp/trace"},
	"./exporters":                       {"./runtimeinfo", "./exporters/internal/flat"},
	"./exporters/internal/flat":         {"./runtimeinfo"},
	"./exporters/internal/reply":        {},
	"./exporters/exporttest":            {"./exporters", "./runtimeinfo/sampler", "./runtimeinfo", "go.uber.org/goleak"},
	"./exporters/jsonl":                 {"./exporters", "./runtimeinfo"},
	"./exporters/page":                  {"./internal/redact", "./exporters", "./exporters/internal/reply", "./runtimeinfo", "./runtimeinfo/goroutines", "./internal/profiles", "github.com/google/pprof/profile"},
	"./exporters/otlp":                  {"./exporters", "./runtimeinfo", "go.opentelemetry.io/otel/"},
	"./exporters/otlp/otlphttp":         {"./internal/redact", "./exporters/otlp", "go.opentelemetry.io/otel/exporters/otlp/"},
	"./exporters/prom":                  {"./exporters", "./runtimeinfo/sampler", "./exporters/internal/reply", "./runtimeinfo", "github.com/prometheus/"},
	"./exporters/fluentd":               {"./internal/redact", "./exporters", "./runtimeinfo", "github.com/fluent/fluent-logger-golang/", "github.com/tinylib/msgp/"},
	"./exporters/spool":                 {"./exporters", "./runtimeinfo", "./internal/guard", "go.etcd.io/bbolt", "go.etcd.io/bbolt/errors"},
	"./agent/engine":                    {"./runtimeinfo", "./runtimeinfo/sampler", "./runtimeinfo/capacity", "./runtimeinfo/host", "./exporters", "./agent/engine/internal/delivery", "./internal/guard"},
	"./agent/engine/internal/delivery":  {"./runtimeinfo", "./exporters", "./internal/guard"},
	"./agent":                           {"./internal/redact", "./agent/engine", "./internal/guard", "./exporters", "./exporters/prom", "./exporters/fluentd", "./exporters/spool", "./exporters/page", "./runtimeinfo", "./runtimeinfo/baseline", "./runtimeinfo/evidence", "./runtimeinfo/goroutines", "./runtimeinfo/host", "./tracectx", "./tracectx/exectrace", "go.opentelemetry.io/otel", "go.opentelemetry.io/otel/sdk/trace", "go.opentelemetry.io/otel/trace"},
}

// banned packages must not be linked, directly or through others.
var banned = []struct {
	from, pkg, why string
}{
	{"./agent", "net/http/pprof", "its init registers handlers on http.DefaultServeMux"},
	{"./agent", "text/template", "it makes the linker keep every exported method of the program: +3 MB"},
	{"./agent", "google.golang.org/grpc", "nothing of ours speaks gRPC"},
	{"./examples/explosion", "google.golang.org/grpc", "a newcomer's first command would have to fetch and compile it"},
	{"./exporters/otlp", "google.golang.org/grpc", "the SDK's exporters link it, +10 MB: only otlphttp does"},
	{"./agent/engine", "expvar", "its init registers a handler on http.DefaultServeMux"},
	{"./agent/engine", "net/http", "the core serves nobody"},
	{"./agent/engine", "github.com/prometheus/client_golang/prometheus", "the core links no backend's client"},
	{"./agent/engine", "github.com/fluent/fluent-logger-golang/fluent", "it registers a msgpack extension when it is initialised"},
	{"./agent/engine", "go.opentelemetry.io/otel/sdk/trace", "the core knows spans through an interface"},
	{"./exporters", "net/http", "the core serves nobody"},
}

// exceptions are what we would ban and cannot: libraries that the project is
// built on bring them.
var exceptions = []struct {
	from, pkg, why string
}{
	{"./exporters/prom", "expvar", "client_golang's ExpvarCollector imports it; whoever links client_golang has it"},
}

type pkg struct {
	ImportPath string
	Name       string
	Standard   bool
	Imports    []string
	Deps       []string
}

func TestImportsKeepToTheHouse(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t, "work") {
		path := relative(p.ImportPath)
		if p.Name == "main" || strings.HasPrefix(path, "./internal/") || strings.HasPrefix(path, "./examples/") {
			continue
		}
		may, ok := rooms[path]
		if !ok {
			t.Errorf("%s is not in the house: add it to rooms, and to the layout in CONTRIBUTING.md", path)
			continue
		}
		seen[path] = true
		for _, imported := range p.Imports {
			if standard(imported) {
				continue
			}
			if !slices.ContainsFunc(may, func(allowed string) bool { return matches(relative(imported), allowed) }) {
				t.Errorf("%s imports %s, which the house does not allow", path, relative(imported))
			}
		}
	}
	for path := range rooms {
		if !seen[path] {
			t.Errorf("%s is in rooms but does not exist", path)
		}
	}
}

func TestBannedPackagesAreNotLinked(t *testing.T) {
	deps := map[string][]string{}
	of := func(from string) []string {
		if deps[from] == nil {
			deps[from] = list(t, from)[0].Deps
		}
		return deps[from]
	}
	for _, b := range banned {
		if slices.Contains(of(b.from), b.pkg) {
			t.Errorf("%s links %s, but must not: %s", b.from, b.pkg, b.why)
		}
	}
	for _, e := range exceptions {
		if !slices.Contains(of(e.from), e.pkg) {
			t.Errorf("%s no longer links %s: ban it (the exception was: %s)", e.from, e.pkg, e.why)
		}
	}
}

// matches tells whether an import is an allowed one: the same, or below a prefix
// that ends in a slash.
func matches(imported, allowed string) bool {
	return imported == allowed || strings.HasSuffix(allowed, "/") && strings.HasPrefix(imported, allowed)
}

func relative(path string) string {
	if rest, ok := strings.CutPrefix(path, module); ok {
		return "." + rest
	}
	return path
}

// standard tells a package of the standard library by its first element.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func list(t *testing.T, pattern string) (pkgs []pkg) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Standard,Imports,Deps", pattern)
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}
