// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// corpusDir has the leaking programs of the Go tree, below GOROOT: GoKer (of GoBench)
// and others, which test the runtime's goroutineleak profile. buildCorpus copies them
// into a temporary module and adds driver as their main function.
const corpusDir = "src/runtime/testdata/testgoroutineleakprofile"

// driver replaces the corpus' main.go. Each program of the corpus registers itself by
// name. The driver calls one of them repeatedly, as requests would.
const driver = `package main

import (
	"encoding/json"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/gmpulse/gmpulse/benchmarks/leaks/watch"
)

const yieldCount = 10

type noProfile struct{}

func (noProfile) WriteTo(io.Writer, int) error { return nil }
func noLookup(string) noProfile { return noProfile{} }

var cmds = map[string]func(){}

func register(name string, f func())     { cmds[name] = f }
func registerInit(string, func()) {}

func main() {
	f := cmds[os.Args[1]]
	out := os.Stdout
	os.Stdout, _ = os.Open(os.DevNull)
	r, err := watch.Run(os.Args[1], watch.Config{Slot: 150 * time.Millisecond, Slots: 44, Grace: 2500 * time.Millisecond, MinGrowth: 1},
		func(_ *watch.Service, stop <-chan struct{}) {
			tick := time.NewTicker(150 * time.Millisecond)
			defer tick.Stop()
			for {
				if runtime.NumGoroutine() < 30000 {
					go f()
				}
				select {
				case <-stop:
					return
				case <-tick.C:
				}
			}
		})
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	json.NewEncoder(out).Encode(r)
	os.Exit(0)
}
`

// buildCorpus copies, patches and builds the corpus. It returns the path of the
// executable and the names of the programs in it.
func buildCorpus(ctx context.Context, dir string) (program string, names []string, err error) {
	root, err := output(ctx, "", "go", "env", "GOROOT")
	if err != nil {
		return "", nil, err
	}
	lookup := regexp.MustCompile(`pprof\.Lookup\("goroutineleak"\)`)
	unused := regexp.MustCompile(`(?m)^\s*"runtime/pprof"\n`)
	err = filepath.WalkDir(filepath.Join(strings.TrimSpace(root), corpusDir), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || e.Name() == "main.go" {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		names = append(names, registered(src)...)
		src = lookup.ReplaceAll(src, []byte(`noLookup("goroutineleak")`))
		if !bytes.Contains(src, []byte("pprof.")) {
			src = unused.ReplaceAll(src, nil)
		}
		return os.WriteFile(filepath.Join(dir, e.Name()), src, 0o600)
	})
	if err != nil {
		return "", nil, err
	}
	return linkCorpus(ctx, dir, names)
}

// linkCorpus adds the main function and go.mod, and builds.
func linkCorpus(ctx context.Context, dir string, names []string) (string, []string, error) {
	here, err := output(ctx, "", "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return "", nil, err
	}
	benchmarks := strings.TrimSpace(here)
	mod := fmt.Sprintf("module corpus\n\ngo 1.26.0\n\nrequire github.com/gmpulse/gmpulse/benchmarks v0.0.0\n\nreplace github.com/gmpulse/gmpulse/benchmarks => %s\n\nreplace github.com/gmpulse/gmpulse => %s\n", benchmarks, filepath.Dir(benchmarks))
	for name, text := range map[string]string{"main.go": driver, "go.mod": mod} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", nil, err
		}
	}
	if _, err := output(ctx, dir, "go", "mod", "tidy"); err != nil {
		return "", nil, err
	}
	program := filepath.Join(dir, "corpus")
	_, err = output(ctx, dir, "go", "build", "-o", program, ".")
	return program, names, err
}

// registered returns the names in calls of register.
func registered(src []byte) (names []string) {
	f, err := parser.ParseFile(token.NewFileSet(), "", src, 0)
	if err != nil {
		return nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "register" {
			if lit, ok := call.Args[0].(*ast.BasicLit); ok {
				names = append(names, strings.Trim(lit.Value, `"`))
			}
		}
		return true
	})
	return names
}

// runChild runs one workload in a process of its own and decodes its result.
func runChild(ctx context.Context, program string, args ...string) (r result, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	out, err := output(ctx, "", program, args...)
	if err != nil {
		return r, err
	}
	line := out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]
	return r, json.Unmarshal([]byte(line), &r)
}

func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %v: %w: %s", filepath.Base(name), args, err, last(stderr.String(), 2000))
	}
	return string(out), nil
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }
