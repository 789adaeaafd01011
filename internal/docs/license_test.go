// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bytes"
	"flag"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "add the license identifier to the source files that lack it")

const identifier = "SPDX-License-Identifier: Apache-2.0"

// firstLine returns the first line that a file must have, apart from a line that begins with "#!" or
// declares the type of a document. It returns "" if the file cannot have a comment, is generated, or
// belongs to another project. It reports false for a file of an unknown type.
func firstLine(name string) (line string, known bool) {
	if strings.Contains("/"+name, "/testdata/") || strings.HasSuffix(name, ".min.js") {
		return "", true
	}
	if path.Dir(name) == ".ci" {
		return "# " + identifier + "\n", true
	}
	switch path.Ext(name) {
	case ".go", ".js", ".mjs":
		return "// " + identifier + "\n\n", true
	case ".css":
		return "/* " + identifier + " */\n", true
	case ".html", ".svg":
		return "<!-- " + identifier + " -->\n", true
	case ".yml", ".yaml", ".conf":
		return "# " + identifier + "\n", true
	case ".json", ".md", ".mod", ".sum", ".work", ".txt", ".png", ".gz", ".gitignore", ".dockerignore", ".example":
		return "", true
	}
	switch path.Base(name) {
	case "Dockerfile":
		return "# " + identifier + "\n", true
	case "LICENSE":
		return "", true
	}
	return "", false
}

// head returns the length of the lines that come before the license identifier.
func head(text []byte) int {
	for _, prefix := range []string{"#!", "<!doctype", "<?xml", "# syntax="} {
		if bytes.HasPrefix(text, []byte(prefix)) {
			return bytes.IndexByte(text, '\n') + 1
		}
	}
	return 0
}

// Every source file in the repository names the license at its beginning. No file has an unknown type,
// such as a compiled program.
func TestSourceFilesHaveLicenseIdentifier(t *testing.T) {
	checked := map[string]int{}
	for name := range strings.SplitSeq(strings.TrimSuffix(git(t, "ls-files", "-z"), "\x00"), "\x00") {
		file := filepath.Join(root, name)
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		line, known := firstLine(name)
		if !known {
			t.Errorf("%s: add the type of the file to firstLine, or remove the file", name)
		}
		if line == "" || bytes.Contains(text, []byte("\n// Code generated ")) {
			continue
		}
		checked[path.Ext(name)]++
		if at := head(text); !bytes.HasPrefix(text[at:], []byte(line)) {
			if !*update {
				t.Errorf("%s does not begin with %q: go test ./internal/docs -update", name, line)
				continue
			}
			if err := os.WriteFile(file, slices.Insert(text, at, []byte(line)...), 0o644); err != nil { //nolint:gosec // as git has it
				t.Fatal(err)
			}
		}
	}
	if checked[".go"] < 500 || checked[".js"] < 10 || checked[".css"] == 0 || checked[".yml"] == 0 {
		t.Errorf("only %v files", checked)
	}
}
