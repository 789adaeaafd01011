// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The table in CONTRIBUTING.md has a row for each package of the library and each folder below internal.
// A row of exporters/otlp is also for the packages below it. Each row is about a folder that exists.
func TestContributingDescribesEachFolder(t *testing.T) {
	rows := folders(t)
	for _, row := range rows {
		if i, err := os.Stat(filepath.Join(root, row)); err != nil || !i.IsDir() {
			t.Errorf("CONTRIBUTING.md describes %s, which is not a folder", row)
		}
	}
	packages := publicPackages(t)
	entries, err := os.ReadDir(filepath.Join(root, "internal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			packages["internal/"+e.Name()] = true
		}
	}
	for dir := range packages {
		if !slices.ContainsFunc(rows, func(row string) bool {
			return row == dir || strings.Contains(row, "/") && strings.HasPrefix(dir, row+"/")
		}) {
			t.Errorf("CONTRIBUTING.md does not describe %s", dir)
		}
	}
}

// folders returns the folders that the table in CONTRIBUTING.md describes. A row begins with one or more
// of them. Rows that are indented further are below the last folder of a row that is not.
func folders(t *testing.T) (all []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(data), "## Where what lives\n")
	table, _, _ = strings.Cut(table, "\n## ")
	top := ""
	for line := range strings.Lines(table) {
		row, ok := strings.CutPrefix(line, "    ")
		below := strings.HasPrefix(row, "  ")
		for word := range strings.FieldsSeq(row) {
			name, isFolder := strings.CutSuffix(word, "/")
			if !ok || !isFolder {
				break
			}
			if below {
				name = top + "/" + name
			} else {
				top = name
			}
			all = append(all, name)
		}
	}
	if len(all) < 50 {
		t.Fatalf("found only %d folders", len(all))
	}
	return all
}
