// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/internal/testutil"
)

// change lists the packages whose code has grown or shrunk since testdata was
// written by go test ./internal/budget -run TestFailingSizeBudgetNamesThePackage -update.
func change(tb testing.TB, what, source string) string {
	tb.Helper()
	now, then := codeByPackage(tb, source), recorded(tb, what)
	packages := slices.Collect(maps.Keys(now))
	for p := range then {
		if _, still := now[p]; !still {
			packages = append(packages, p)
		}
	}
	by := func(p string) int { return now[p] - then[p] }
	slices.SortFunc(packages, func(a, b string) int { return cmp.Or(by(b)-by(a), strings.Compare(a, b)) })
	var b strings.Builder
	b.WriteString("change of machine code by package since the limit was set, in KB (in the binary it takes more than twice as much):")
	for _, p := range packages {
		if by(p) != 0 {
			fmt.Fprintf(&b, "\n%+6d %s", by(p), p)
		}
	}
	return b.String()
}

// The test compares the sizes recorded for the engine with the sizes of the agent.
func TestFailingSizeBudgetNamesThePackage(t *testing.T) {
	if testing.Short() || testutil.RaceEnabled {
		t.Skip("builds programs, which the race detector does not affect")
	}
	if flag.Lookup("update").Value.String() == "true" {
		record(t, agentBinary, codeByPackage(t, withAgent))
		record(t, engineBinary, codeByPackage(t, withEngine))
	}
	got := change(t, engineBinary, withAgent)
	for _, want := range []string{" google.golang.org/protobuf/internal/impl\n", " github.com/gmpulse/gmpulse/exporters/page\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no line with%s in the difference between agent and engine:\n%s", want, got)
		}
	}
}

func recordOf(what string) string {
	name, _, _ := strings.Cut(what, ",")
	return filepath.Join("testdata", strings.NewReplacer(" ", "-", "/", "-").Replace(name)+".kb")
}

func record(tb testing.TB, what string, code map[string]int) {
	tb.Helper()
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(code)) {
		fmt.Fprintf(&b, "%d %s\n", code[p], p)
	}
	if err := os.WriteFile(recordOf(what), []byte(b.String()), 0o644); err != nil {
		tb.Fatal(err)
	}
}

func recorded(tb testing.TB, what string) map[string]int {
	tb.Helper()
	text, err := os.ReadFile(recordOf(what))
	if err != nil {
		tb.Fatal(err)
	}
	code := map[string]int{}
	for line := range strings.Lines(string(text)) {
		kb, p, _ := strings.Cut(strings.TrimSpace(line), " ")
		if code[p], err = strconv.Atoi(kb); err != nil {
			tb.Fatal(err)
		}
	}
	return code
}

// codeByPackage returns the size of each package's functions in a program, in KB.
// It omits packages with less than 1 KB.
func codeByPackage(tb testing.TB, source string) map[string]int {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "go", "tool", "nm", "-size", build(tb, source, "-w")).Output()
	if err != nil {
		tb.Fatal(err)
	}
	code := map[string]int{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line) // address, size, type, name
		if len(f) < 4 || !strings.EqualFold(f[2], "t") {
			continue
		}
		n, err := strconv.Atoi(f[1])
		if err != nil {
			tb.Fatal(err)
		}
		code[packageOf(f[3])] += n
	}
	for p, n := range code {
		if code[p] = n / 1000; n < 1000 {
			delete(code, p)
		}
	}
	return code
}

// packageOf returns the package of a symbol: its name up to the first dot after the
// last slash. Type arguments, which may have slashes and dots, are cut off first.
func packageOf(symbol string) string {
	symbol, _, _ = strings.Cut(symbol, "[")
	path := strings.LastIndex(symbol, "/") + 1
	name, _, _ := strings.Cut(symbol[path:], ".")
	return symbol[:path] + name
}
