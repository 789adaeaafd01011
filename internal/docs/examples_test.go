// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Every public package has an Example function with an output comment. Go compiles
// an Example without one but does not run it.
func TestPublicPackagesHaveRunnableExamples(t *testing.T) {
	runnable := regexp.MustCompile(`(?ms)^func Example\w*\(\) \{$.*?^\t// (Unordered )?[Oo]utput:`)
	for dir := range publicPackages(t) {
		has := false
		tests, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range tests {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			has = has || runnable.Match(data)
		}
		if !has {
			t.Errorf("%s has no Example function with output", dir)
		}
	}
}

// publicPackages returns the directories of the packages that other modules may import.
func publicPackages(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, top := range []string{"agent", "exporters", "runtimeinfo", "tracectx"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d os.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "internal" || d.Name() == "testdata"):
				return filepath.SkipDir
			case filepath.Ext(path) == ".go":
				dir, err := filepath.Rel(root, filepath.Dir(path))
				found[filepath.ToSlash(dir)] = true
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 10 {
		t.Fatalf("found only %d packages", len(found))
	}
	return found
}
