// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// quickStarts are the documents that show a complete program.
var quickStarts = []string{"README.md", "README.zh-CN.md", "docs/quickstart.md", "docs/zh/quickstart.md"}

// program returns the first complete Go program that a document shows.
func program(t *testing.T, file string) string {
	t.Helper()
	block := regexp.MustCompile("(?ms)^```go\n(package main\n.*?)^```").FindStringSubmatch(read(t, filepath.Join(root, file)))
	if block == nil {
		t.Fatalf("%s shows no program that begins with package main", file)
	}
	return block[1]
}

func TestQuickStartsCompile(t *testing.T) {
	for _, file := range quickStarts {
		t.Run(file, func(t *testing.T) {
			main := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(main, []byte(program(t, file)), 0o600); err != nil {
				t.Fatal(err)
			}
			vet := exec.CommandContext(t.Context(), "go", "vet", main) // compiles, but does not link
			vet.Dir = root                                             // the module whose packages the program imports
			if out, err := vet.CombinedOutput(); err != nil {
				t.Errorf("go vet: %v\n%s", err, out)
			}
		})
	}
}

// A service that ends on a signal must stop the agent before it exits, and with a
// context that is not done: otherwise the last sample is lost.
func TestQuickStartsStopTheAgent(t *testing.T) {
	for _, file := range quickStarts {
		rest := program(t, file)
		for _, want := range []string{"signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)", "agent.Start(", "serve(ctx", "end, cancel := context.WithTimeout(context.Background(), ", "a.Stop(end)"} {
			_, after, ok := strings.Cut(rest, want)
			if !ok {
				t.Errorf("%s does not show %s, in this order", file, want)
				break
			}
			rest = after
		}
	}
}

func TestREADMEHasAtMost800Words(t *testing.T) {
	if n := len(strings.Fields(read(t, filepath.Join(root, "README.md")))); n > 800 {
		t.Errorf("README.md has %d words", n)
	}
}
