// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The commands in Markdown files name packages that exist, and benchmarks and tests that
// these packages have.
func TestCommandsNameWhatExists(t *testing.T) {
	command := regexp.MustCompile("`?go (?:-C ([\\w/]+) )?(test|run) ([^`\n]*)")
	checked := 0
	for _, file := range markdown(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllStringSubmatch(string(text), -1) {
			c := parseCommand(m[1], m[3])
			if c.pkg == "" {
				continue
			}
			checked++
			for _, problem := range c.problems(t, m[2]) {
				t.Errorf("%s: go %s %s: %s", file, m[2], m[3], problem)
			}
		}
	}
	if checked < 20 {
		t.Errorf("checked only %d commands", checked)
	}
}

// command is a go command that a document shows.
type command struct {
	pkg        string // folder, relative to the root of the repository
	run, bench string // values of these flags
}

func parseCommand(dir, args string) (c command) {
	value := regexp.MustCompile(`-(run|bench) ('[^']*'|\S+)`)
	for _, m := range value.FindAllStringSubmatch(args, -1) {
		pattern := strings.ReplaceAll(strings.Trim(m[2], "'"), `\|`, "|") // escaped in a table
		if m[1] == "run" {
			c.run = pattern
		} else {
			c.bench = pattern
		}
	}
	for word := range strings.FieldsSeq(args) {
		if strings.HasPrefix(word, "./") && !strings.Contains(word, "...") {
			c.pkg = filepath.Join(dir, word)
			break
		}
	}
	return c
}

// problems returns what is wrong with the command.
func (c command) problems(t *testing.T, verb string) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, c.pkg, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		return []string{"there is no package " + c.pkg}
	}
	if verb != "test" {
		return nil
	}
	if c.bench != "" && !declares(t, files, "Benchmark", c.bench) {
		all = append(all, "no benchmark matches "+c.bench)
	}
	if c.run != "" && c.run != "^$" && !declares(t, files, "Test", c.run) {
		all = append(all, "no test matches "+c.run)
	}
	return all
}

// declares reports whether one of the files declares a function whose name begins with kind
// and matches the pattern.
func declares(t *testing.T, files []string, kind, pattern string) bool {
	t.Helper()
	want, err := regexp.Compile(pattern)
	if err != nil {
		t.Fatalf("pattern %s: %v", pattern, err)
	}
	function := regexp.MustCompile(`(?m)^func (` + kind + `\w*)\(`)
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range function.FindAllStringSubmatch(string(source), -1) {
			if want.MatchString(m[1]) {
				return true
			}
		}
	}
	return false
}
