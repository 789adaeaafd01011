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
)

// change lists the packages whose code has grown or shrunk since the budget was
// set, which testdata tells. go test ./internal/budget -run TestCodeByPackage -update
// writes that.
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
	b.WriteString("machine code by package since then, which is less than half of what it takes in the binary, in KB:")
	for _, p := range packages {
		if by(p) != 0 {
			fmt.Fprintf(&b, "\n%+6d %s", by(p), p)
		}
	}
	return b.String()
}

// TestCodeByPackage proves that a failing budget names the package that was added:
// the engine's budget, held against the agent.
func TestCodeByPackage(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("as TestBudget")
	}
	if flag.Lookup("update").Value.String() == "true" {
		record(t, agentBinary, codeByPackage(t, withAgent))
		record(t, engineBinary, codeByPackage(t, withEngine))
	}
	got := change(t, engineBinary, withAgent)
	for _, want := range []string{" google.golang.org/protobuf/internal/impl\n", " github.com/gmpulse/gmpulse/exporters/page\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no line with%s in what the agent has over the engine:\n%s", want, got)
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

// codeByPackage sums the functions of a program up, in KB, without what is less
// than one.
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

// packageOf cuts a symbol's name after the package: at the first dot behind the
// path, where the arguments of a generic function have no part in it.
func packageOf(symbol string) string {
	symbol, _, _ = strings.Cut(symbol, "[")
	path := strings.LastIndex(symbol, "/") + 1
	name, _, _ := strings.Cut(symbol[path:], ".")
	return symbol[:path] + name
}
