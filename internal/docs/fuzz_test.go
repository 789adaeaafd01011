// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFuzzTargetsHaveACorpus compares the fuzz targets with the folders of inputs in the tree. A folder
// whose target was renamed is never read.
func TestFuzzTargetsHaveACorpus(t *testing.T) {
	declaration := regexp.MustCompile(`^(.*_test\.go):func (Fuzz\w*)\(`)
	var targets, corpora []string
	for line := range strings.Lines(git(t, "grep", "^func Fuzz", "--", "*_test.go")) {
		if m := declaration.FindStringSubmatch(line); m != nil {
			targets = append(targets, path.Join(path.Dir(m[1]), "testdata/fuzz", m[2]))
		}
	}
	for file := range strings.Lines(git(t, "ls-files", "*/testdata/fuzz/*")) {
		corpora = append(corpora, path.Dir(strings.TrimSpace(file)))
	}
	if len(targets) < 30 {
		t.Fatalf("only %d targets were found", len(targets))
	}
	slices.Sort(corpora)
	for _, c := range slices.Compact(corpora) {
		if !slices.Contains(targets, c) {
			t.Errorf("%s belongs to no target: rename it as its target", c)
		}
	}
	for _, target := range targets {
		if !slices.Contains(corpora, target) {
			t.Errorf("%s is missing: run .ci/fuzz for the target and add some of the inputs that it kept in the cache", target)
		}
	}
}

// git returns the output of a git command in the root of the repository.
func git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("git %v: %v; the test needs a git checkout", args, err)
	}
	return string(out)
}
