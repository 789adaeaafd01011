// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/internal/kubernetes"
)

// Every environment variable in these files is one that the agent or the quick start
// reads.
func TestVariablesExist(t *testing.T) {
	seen := map[string]bool{}
	app := read(t, "../quickstart/spans.go")
	reference := read(t, "../../docs/configuration.md") // which a test of package agent generates
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !slices.Contains([]string{".yml", ".yaml", ".md", ".example"}, filepath.Ext(path)) {
			return err
		}
		for _, name := range regexp.MustCompile(`\b(?:GMPULSE|OTEL)_[A-Z_]+\b`).FindAllString(read(t, path), -1) {
			seen[name] = true
			if !strings.Contains(reference, "| `"+name+"` |") && !strings.Contains(app, strconv.Quote(name)) {
				t.Errorf("%s: neither the agent nor the quick start reads %s", path, name)
			}
		}
		return nil
	})
	if err != nil || len(seen) < 5 {
		t.Errorf("%d variables found, %v", len(seen), err)
	}
}

// The agent reads the variables with which the manifest describes the pod.
func TestVariablesOfThePodAreRead(t *testing.T) {
	names := regexp.MustCompile(`\bname: ((?:POD|NODE|CONTAINER)_[A-Z]+)`).FindAllStringSubmatch(read(t, "kubernetes/deployment.yaml"), -1)
	for _, m := range names {
		if !slices.ContainsFunc(kubernetes.Variables(), func(v kubernetes.Variable) bool { return slices.Contains(v.Names, m[1]) }) {
			t.Errorf("the agent does not read %s", m[1])
		}
	}
	if len(names) < 5 {
		t.Errorf("variables %v", names)
	}
}
