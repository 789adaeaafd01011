// SPDX-License-Identifier: Apache-2.0

package deptest

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is a program of a user, outside the workspace.
type program struct {
	name, source string
	require      map[string]string // module to folder, in addition to the library
	grpc         bool              // whether gRPC may be in its module graph
}

func programs() []program {
	return []program{
		{"agent", `package main

import "github.com/gmpulse/gmpulse/agent"

func main() { _, _ = agent.Start() }
`, nil, false},
		{"engine and an exporter", `package main

import (
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters/otlp"
)

func main() { _, _ = engine.New(); _ = otlp.Config{} }
`, nil, false},
		{"otlpprofiles", `package main

import "github.com/gmpulse/gmpulse/exporters/otlp/otlpprofiles"

func main() { _, _ = otlpprofiles.New(otlpprofiles.Config{}) }
`, map[string]string{module + "/exporters/otlp/otlpprofiles": "exporters/otlp/otlpprofiles"}, false},
		{"otlphttp and otlpprofiles", `package main

import (
	"context"

	"github.com/gmpulse/gmpulse/exporters/otlp/otlphttp"
	"github.com/gmpulse/gmpulse/exporters/otlp/otlpprofiles"
)

func main() {
	_, _ = otlphttp.New(context.Background(), otlphttp.Config{})
	_, _ = otlpprofiles.New(otlpprofiles.Config{})
}
`, map[string]string{
			module + "/exporters/otlp/otlphttp":     "exporters/otlp/otlphttp",
			module + "/exporters/otlp/otlpprofiles": "exporters/otlp/otlpprofiles",
		}, true},
	}
}

// Programs outside the workspace that import the modules can be built. The module graph of a program
// that does not import otlphttp has no gRPC. A program with otlphttp and otlpprofiles links the messages of
// OTLP twice, in packages that must not register the same names.
func TestUserProgramsBuildOutsideTheWorkspace(t *testing.T) {
	if testing.Short() {
		t.Skip("builds four programs")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "main.go"), p.source)
			write(t, filepath.Join(dir, "go.mod"), "module example.com/user\n\ngo 1.26.0\n")
			folders := map[string]string{module: "."}
			maps.Copy(folders, p.require)
			for path, folder := range folders {
				run(t, dir, "mod", "edit", "-require="+path+"@v0.0.0", "-replace="+path+"="+filepath.Join(root, folder))
			}
			if p.grpc {
				run(t, dir, "run", ".")
			} else {
				run(t, dir, "build", "-o", os.DevNull, ".")
			}
			graph := run(t, dir, "list", "-m", "all")
			for _, heavy := range []string{"google.golang.org/grpc ", "google.golang.org/genproto", "github.com/grpc-ecosystem/"} {
				if strings.Contains(graph, heavy) && !p.grpc {
					t.Errorf("the module graph has %s:\n%s", heavy, graph)
				}
			}
		})
	}
}

// run runs the go command in dir, outside the workspace, and returns what it prints.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
