// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "add the license identifier to the source files that lack it")

// identifier is the first line of every source file in the repository.
const identifier = "// SPDX-License-Identifier: Apache-2.0\n"

// isOurs reports whether a file is source code of this project. Test data and minified
// files of other projects, which have their own licenses, are not.
func isOurs(name string) bool {
	switch filepath.Ext(name) {
	case ".go", ".js", ".mjs":
		return !strings.Contains("/"+name, "/testdata/") && !strings.HasSuffix(name, ".min.js")
	default:
		return false
	}
}

// The first line of every source file in the repository names the license.
func TestSourceFilesHaveLicenseIdentifier(t *testing.T) {
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Skip("not a git checkout:", err)
	}
	checked := 0
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if !isOurs(name) {
			continue
		}
		path := filepath.Join(root, name)
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		checked++
		if bytes.HasPrefix(text, []byte(identifier+"\n")) || bytes.Contains(text, []byte("\n// Code generated ")) {
			continue
		}
		if !*update {
			t.Errorf("%s does not begin with %q and an empty line: go test ./internal/docs -update", name, identifier)
			continue
		}
		if err := os.WriteFile(path, append([]byte(identifier+"\n"), text...), 0o644); err != nil { //nolint:gosec // as git has it
			t.Fatal(err)
		}
	}
	if checked < 500 {
		t.Errorf("only %d source files", checked)
	}
}
