// SPDX-License-Identifier: Apache-2.0

// Package docs tests the documentation: links have targets, documents exist in both
// languages, the programs that they show build, and every public package has an example.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const root = "../.."

// The relative links of every Markdown file name an existing file, and their anchors
// an existing heading.
func TestLinksHaveTargets(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	checked := 0
	for _, file := range markdown(t) {
		for _, m := range link.FindAllStringSubmatch(prose(t, file), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			checked++
			path, anchor, _ := strings.Cut(m[1], "#")
			target := file
			if path != "" {
				target = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", file, m[1])
			} else if anchor != "" && !headings(t, target)[anchor] {
				t.Errorf("%s links to %s, but there is no such heading", file, m[1])
			}
		}
	}
	if checked < 20 {
		t.Errorf("checked only %d links", checked)
	}
}

// markdown returns the paths of all Markdown files.
func markdown(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == ".ci"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".md"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// prose returns the text of a file without its code blocks and code spans.
func prose(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fenced := regexp.MustCompile("(?ms)^```.*?^```")
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(fenced.ReplaceAllString(string(data), ""), "code")
}

// headings returns the anchors that GitHub derives from a file's headings.
func headings(t *testing.T, file string) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fenced := regexp.MustCompile("(?ms)^```.*?^```")
	text := fenced.ReplaceAllString(string(data), "")
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`).FindAllStringSubmatch(text, -1) {
		a := slug(m[1])
		for n, first := 1, a; anchors[a]; n++ {
			a = first + "-" + strconv.Itoa(n)
		}
		anchors[a] = true
	}
	return anchors
}

// slug returns GitHub's anchor for a heading.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		default:
			return -1
		}
	}, heading)
}
