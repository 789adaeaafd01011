// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every document exists in English and in Chinese, under one name and with the same
// number of sections, and the index of each language lists it.
func TestDocumentsExistInBothLanguages(t *testing.T) {
	// These are generated from the code, describe an API, or are for a project that
	// speaks English.
	inEnglish := []string{"configuration.md", "metrics.md", "page-api.md", "otel-sdk-proposal.md"}
	english, chinese := sections(t, "docs/*.md"), sections(t, "docs/zh/*.md")
	english["security.md"] = sections(t, "SECURITY.md")["SECURITY.md"]
	for name, n := range english {
		if slices.Contains(inEnglish, name) {
			continue
		}
		if m, ok := chinese[name]; !ok {
			t.Errorf("%s has no counterpart in docs/zh", name)
		} else if m != n {
			t.Errorf("%s has %d sections in English, %d in Chinese", name, n, m)
		}
	}
	for name := range chinese {
		if _, ok := english[name]; !ok {
			t.Errorf("docs/zh/%s has no counterpart in English", name)
		}
	}
	for _, index := range []string{"docs/README.md", "docs/zh/README.md"} {
		text := strings.ToLower(read(t, filepath.Join(root, index)))
		for name := range english {
			if name != "README.md" && !strings.Contains(text, name+")") {
				t.Errorf("%s does not list %s", index, name)
			}
		}
	}
	if here, there := sections(t, "README.md"), sections(t, "README.zh-CN.md"); here["README.md"] != there["README.zh-CN.md"] {
		t.Errorf("the READMEs have %v and %v sections", here, there)
	}
}

// sections returns the number of second-level headings of each file that matches.
func sections(t *testing.T, pattern string) map[string]int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	found := map[string]int{}
	for _, file := range files {
		found[filepath.Base(file)] = len(regexp.MustCompile(`(?m)^## `).FindAllString(read(t, file), -1))
	}
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
