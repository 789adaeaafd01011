// SPDX-License-Identifier: Apache-2.0

// Package deptest tests which packages the packages of the library import and which packages they do
// not link.
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

// layers has the packages of the library, lowest layer first. A package may import only packages of
// lower layers, and packages below internal that have no layer. Those import no package with a layer, so
// that no import of them leads up.
var layers = [][]string{
	{"./runtimeinfo"},
	{"./internal/hostfield", "./internal/incidenttext", "./internal/sentence", "./internal/summary", "./internal/codec", "./internal/manifest", "./runtimeinfo/goroutines/leaktest"},
	{"./internal/host", "./exporters"},
	{"./internal/headroom", "./internal/guard", "./internal/sampler", "./exporters/internal/reply"},
	{"./internal/profiles", "./internal/tlsfile"},
	{"./runtimeinfo/baseline", "./internal/capacity", "./runtimeinfo/goroutines", "./runtimeinfo/profiler", "./tracectx", "./exporters/internal/profiling", "./exporters/otlp/internal/identity"},
	{"./tracectx/exectrace", "./exporters/alertmanager", "./exporters/evidence", "./exporters/fluentd", "./exporters/jsonl", "./exporters/otlp", "./exporters/page", "./exporters/prom", "./exporters/spool", "./exporters/webhook"},
	{"./agent/engine/internal/delivery"},
	{"./agent/engine"},
	{"./agent"},
	{"./internal/catalogue"},   // for tests
	{"./exporters/exporttest"}, // for tests of exporters
}

// libraries has the prefixes of the foreign packages that a package may import.
var libraries = map[string][]string{
	"./internal/host":          {"github.com/shirou/gopsutil/v3/", "golang.org/x/sys/"},
	"./internal/profiles":      {"github.com/google/pprof/profile"},
	"./runtimeinfo/goroutines": {"github.com/google/pprof/profile"},
	"./runtimeinfo/profiler":   {"github.com/google/pprof/profile"},
	"./tracectx":               {"go.opentelemetry.io/otel/"},
	"./tracectx/exectrace":     {"go.opentelemetry.io/otel", "golang.org/x/exp/trace"},
	"./exporters/evidence":     {"github.com/google/pprof/profile"},
	"./exporters/exporttest":   {"go.uber.org/goleak"},
	"./exporters/page":         {"github.com/google/pprof/profile"},

	"./exporters/otlp/internal/identity": {"go.opentelemetry.io/otel"},

	"./exporters/otlp":    {"go.opentelemetry.io/otel"},
	"./exporters/prom":    {"github.com/prometheus/"},
	"./exporters/fluentd": {"github.com/fluent/fluent-logger-golang/", "github.com/tinylib/msgp/"},
	"./exporters/spool":   {"go.etcd.io/bbolt"},
	"./agent":             {"go.opentelemetry.io/otel"},
}

// banned has packages that must not be linked, directly or indirectly. One package cannot be banned:
// client_golang imports expvar, so that exporters/prom and agent link it.
var banned = []struct {
	from, pkg, why string
}{
	{"./agent", "net/http/pprof", "its init registers handlers on http.DefaultServeMux"},
	{"./agent", "text/template", "the linker then keeps all exported methods of the program, +3 MB"},
	{"./agent", "google.golang.org/grpc", "no default exporter uses gRPC"},
	{"./examples/explosion", "google.golang.org/grpc", "the first command of the README would download and compile it"},
	{"./exporters/otlp", "google.golang.org/grpc", "+10 MB, for which there is otlphttp"},
	{"./agent/engine", "expvar", "its init registers a handler on http.DefaultServeMux"},
	{"./agent/engine", "net/http", "it does not serve HTTP"},
	{"./agent/engine", "github.com/prometheus/client_golang/prometheus", "it links no client of a backend"},
	{"./agent/engine", "github.com/fluent/fluent-logger-golang/fluent", "its init registers a msgpack extension"},
	{"./agent/engine", "go.opentelemetry.io/otel/sdk/trace", "it gets spans through an interface"},
	{"./exporters", "net/http", "it does not serve HTTP"},
}

type pkg struct {
	ImportPath string
	Name       string
	Standard   bool
	Imports    []string
	Deps       []string
}

func TestImportsPointDown(t *testing.T) {
	layer := map[string]int{}
	for i, packages := range layers {
		for _, p := range packages {
			layer[p] = i
		}
	}
	seen := map[string]bool{}
	for _, p := range list(t, "./...") {
		path := relative(p.ImportPath)
		own, ok := layer[path]
		free := !ok && strings.HasPrefix(path, "./internal/")
		if p.Name == "main" || strings.HasPrefix(path, "./examples/") {
			continue
		}
		if !ok && !free {
			t.Errorf("%s has no layer: add it to layers, and to the table in CONTRIBUTING.md", path)
			continue
		}
		seen[path] = true
		for _, imported := range p.Imports {
			imported = relative(imported)
			switch other, ours := layer[imported]; {
			case standard(imported), !ours && strings.HasPrefix(imported, "./internal/"):
			case ours && free:
				t.Errorf("%s imports %s: give it a layer", path, imported)
			case ours && other >= own:
				t.Errorf("%s imports %s, which is not in a lower layer", path, imported)
			case !ours && !free && !slices.ContainsFunc(libraries[path], func(allowed string) bool { return strings.HasPrefix(imported, allowed) }):
				t.Errorf("%s imports %s, which is not in libraries", path, imported)
			}
		}
	}
	for path := range layer {
		if !seen[path] {
			t.Errorf("%s has a layer but does not exist", path)
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
}

func relative(path string) string {
	if rest, ok := strings.CutPrefix(path, module); ok {
		return "." + rest
	}
	return path
}

// standard reports whether a package belongs to the standard library.
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
