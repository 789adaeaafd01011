// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// exported returns the resource that an Exporter sends for the given attributes.
func exported(t *testing.T, attrs ...runtimeinfo.Attr) *resource.Resource {
	t.Helper()
	m := &metrics{}
	s := exporttest.Snapshot()
	s.Resource = attrs
	if err := newExporter(t, otlp.Config{Metrics: m}).Export(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return m.last().Resource
}

func TestResourceAttributesHaveTheTypesOfTheConventions(t *testing.T) {
	r := exported(t,
		runtimeinfo.Attr{Key: "process.pid", Value: "42"}, runtimeinfo.Attr{Key: "process.parent_pid", Value: "one"},
		runtimeinfo.Attr{Key: "process.interactive", Value: "true"}, runtimeinfo.Attr{Key: "process.command_args", Value: `["shop","-v"]`},
		runtimeinfo.Attr{Key: "host.ip", Value: "10.0.0.1"}, runtimeinfo.Attr{Key: "service.version", Value: "1"})
	for key, want := range map[attribute.Key]attribute.Value{
		"process.pid":          attribute.IntValue(42),
		"process.parent_pid":   attribute.StringValue("one"),
		"process.interactive":  attribute.BoolValue(true),
		"process.command_args": attribute.StringSliceValue([]string{"shop", "-v"}),
		"host.ip":              attribute.StringValue("10.0.0.1"),
		"service.version":      attribute.StringValue("1"),
		"telemetry.sdk.name":   attribute.StringValue("opentelemetry"),
	} {
		if got, _ := r.Set().Value(key); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v (%v), want %v (%v)", key, got, got.Type(), want, want.Type())
		}
	}
	if r.SchemaURL() != semconv.SchemaURL {
		t.Errorf("schema %q", r.SchemaURL())
	}
	// A program merges the resource with the SDK's default one.
	if _, err := resource.Merge(resource.Default(), r); err != nil {
		t.Errorf("%v: use the version of the conventions that the SDK uses", err)
	}
}

func TestScopeHasTheSchemaOfTheConventions(t *testing.T) {
	m, l := &metrics{}, &logs{}
	s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()})
	if err := newExporter(t, otlp.Config{Metrics: m, Logs: l}).Export(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	got := m.last().ScopeMetrics[0].Scope
	if got.Name != otlp.Scope || got.SchemaURL != semconv.SchemaURL || got.Version == "(devel)" {
		t.Errorf("scope of metrics %+v", got)
	}
	if logs := l.got[0].InstrumentationScope(); logs != got {
		t.Errorf("scope of log records %+v, want %+v", logs, got)
	}
}

// namespaces are the first parts of the keys of resource attributes.
const namespaces = "android. browser. cloud. container. deployment. device. faas. gcp. heroku. host. k8s. oci. os. process. service. telemetry. webengine. aws.log. aws.ecs. aws.eks."

// Every resource attribute of the conventions that is not a string has its type. The test
// reads the functions of package semconv, such as ProcessPID(val int).
func TestTypesOfAllResourceAttributes(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", semconvPackage).Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "attribute_group.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]struct {
		text string
		kind attribute.Type
	}{"int": {"1", attribute.INT64}, "bool": {"true", attribute.BOOL}, "...string": {`["a"]`, attribute.STRINGSLICE}, "string": {"1", attribute.STRING}}
	tested := 0
	keys := keysOf(file)
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Type.Params.NumFields() != 1 {
			continue
		}
		key, ok := keys[f.Name.Name+"Key"]
		if !ok || !strings.Contains(" "+namespaces, " "+firstPart(key)) {
			continue
		}
		want, ok := values[typeName(f.Type.Params.List[0].Type)]
		if !ok {
			t.Errorf("%s has the type %s", key, typeName(f.Type.Params.List[0].Type))
			continue
		}
		tested++
		if got, _ := exported(t, runtimeinfo.Attr{Key: key, Value: want.text}).Set().Value(attribute.Key(key)); got.Type() != want.kind {
			t.Errorf("%s is a %v, want %v", key, got.Type(), want.kind)
		}
	}
	if tested < 100 {
		t.Errorf("%d attributes tested", tested)
	}
}

const semconvPackage = "go.opentelemetry.io/otel/semconv/v1.43.0"

// keysOf returns the values of the constants of the form XKey = attribute.Key("x").
func keysOf(file *ast.File) map[string]string {
	keys := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		if call, ok := v.Values[0].(*ast.CallExpr); ok && len(call.Args) == 1 {
			if text, ok := call.Args[0].(*ast.BasicLit); ok {
				keys[v.Names[0].Name] = strings.Trim(text.Value, `"`)
			}
		}
		return true
	})
	return keys
}

// firstPart returns the part of key that is in namespaces if key is a resource attribute.
func firstPart(key string) string {
	parts := strings.SplitAfter(key, ".")
	if parts[0] == "aws." && len(parts) > 1 {
		return "aws." + parts[1]
	}
	return parts[0]
}

func typeName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.Ellipsis:
		return "..." + typeName(x.Elt)
	default:
		return "?"
	}
}
