// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Sources of the programs whose binaries are compared.
const (
	bare = `package main

import "net/http"

func main() { http.ListenAndServe("127.0.0.1:0", nil) }
`
	withEngine = `package main

import (
	"context"
	"net/http"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
)

func main() {
	e, _ := engine.New(engine.WithExporter("log", exporters.Log(nil)))
	e.Start(context.Background())
	http.ListenAndServe("127.0.0.1:0", nil)
}
`
	withAgent = `package main

import (
	"net/http"

	"github.com/gmpulse/gmpulse/agent"
)

func main() {
	agent.Start()
	http.ListenAndServe("127.0.0.1:0", nil)
}
`
)

func agentSize(tb testing.TB) float64  { tb.Helper(); return size(tb, withAgent) - size(tb, bare) }
func engineSize(tb testing.TB) float64 { tb.Helper(); return size(tb, withEngine) - size(tb, bare) }

// size builds a program and returns the size of its stripped binary in MB.
func size(tb testing.TB, source string) float64 {
	tb.Helper()
	info, err := os.Stat(build(tb, source, "-s -w"))
	if err != nil {
		tb.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}

func build(tb testing.TB, source, linkerFlags string) (binary string) {
	tb.Helper()
	dir := tb.TempDir()
	file, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		tb.Fatal(err)
	}
	if out, err := exec.CommandContext(tb.Context(), "go", "build", "-ldflags="+linkerFlags, "-o", binary, file).CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return binary
}
