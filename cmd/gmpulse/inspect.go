// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gmpulse/gmpulse/internal/manifest"
	"github.com/gmpulse/gmpulse/internal/units"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

const traceName = "execution.trace"

// inspect prints an incident bundle.
func inspect(ctx context.Context, p printer, path string) error {
	path = strings.TrimSuffix(path, manifest.Name)
	m, err := manifest.Read(os.DirFS(filepath.Clean(path)))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is not an incident bundle: %w", path, err)
		}
		return err
	}
	p.line("%s", m.Reason)
	p.line("%s, cause %s, %s", m.Time.Format(time.RFC3339), m.Cause, m.GoVersion)
	for _, a := range m.Resource {
		if a.Key == "service.name" || a.Key == "service.instance.id" {
			p.line("%s %s", a.Key, a.Value)
		}
	}
	p.verdicts(m)
	p.groups(m)
	p.spans(path)
	if err := p.slowSpan(ctx, m, path); err != nil {
		p.line("  %v", err) // the rest of the bundle is readable
	}
	p.files(m, path)
	return nil
}

func (p printer) verdicts(m *manifest.Manifest) {
	if len(m.Verdicts) == 0 {
		return
	}
	p.title("goroutine verdicts")
	for _, v := range m.Verdicts[:min(len(m.Verdicts), p.top)] {
		p.line("  %s: %d in %s at %s", strings.ToUpper(v.Kind), v.Count, v.Wait, v.Site)
		for _, more := range []struct{ what, text string }{
			{"growth", growth(v.PerMinute)}, {"created under", under(v.Roots)}, {"because", v.Evidence}, {"look for", v.Hint},
		} {
			if more.text != "" {
				p.line("      %s: %s", more.what, more.text)
			}
		}
	}
}

func growth(perMinute float64) string {
	if perMinute < 1 {
		return ""
	}
	return fmt.Sprintf("%.0f a minute", perMinute)
}

func under(roots []manifest.Root) string {
	texts := make([]string, len(roots))
	for i, r := range roots {
		texts[i] = fmt.Sprintf("%s (%d)", r.Name, r.Count)
	}
	return strings.Join(texts, ", ")
}

func (p printer) groups(m *manifest.Manifest) {
	p.title("goroutines: %d", m.Goroutines)
	if len(m.Groups) == 0 {
		p.line("  no groups: no goroutine survey was taken before; see the goroutine profile")
		return
	}
	if m.BaseTime.IsZero() {
		p.line("  by size; there is no healthy survey to compare with")
	} else {
		p.line("  by growth since the healthy survey of %s", m.BaseTime.Format(time.RFC3339))
	}
	rows := [][]string{{"growth", "now", "then", "wait", "at", "entry"}}
	for _, g := range m.Groups[:min(len(m.Groups), p.top)] {
		rows = append(rows, []string{fmt.Sprintf("%+d", g.Count-g.Base), strconv.Itoa(g.Count), strconv.Itoa(g.Base), g.Wait, g.Site, g.Entry})
	}
	p.table(rows)
}

// spans prints the concerned spans and the active root spans.
func (p printer) spans(path string) {
	text, err := os.ReadFile(filepath.Join(path, "spans.json"))
	if err != nil {
		return // the list of files shows that it is missing
	}
	var s struct {
		Active    []manifest.Span `json:"active"`
		Concerned []manifest.Span `json:"concerned"`
	}
	if json.Unmarshal(text, &s) != nil {
		p.line("  cannot decode spans.json")
		return
	}
	for _, list := range []struct {
		title string
		spans []manifest.Span
	}{{"spans concerned", s.Concerned}, {"active root spans, oldest first", s.Active}} {
		var rows [][]string
		for _, s := range list.spans[:min(len(list.spans), p.top)] {
			rows = append(rows, []string{seconds(s.Age), s.TraceID, s.Name})
		}
		p.section(list.title, rows)
	}
}

// slowSpan prints the breakdown of the slow span that caused the bundle, or else of the
// slowest span in the execution trace.
func (p printer) slowSpan(ctx context.Context, m *manifest.Manifest, path string) error {
	if !has(m, traceName) {
		return nil
	}
	f, err := os.Open(filepath.Join(path, traceName))
	if err != nil {
		return err
	}
	defer f.Close()
	var want string
	if e := m.Event; e != nil && e.Name == "span.slow" && len(e.Spans) == 1 {
		want = e.Spans[0].SpanID
	}
	var found *exectrace.Breakdown
	w, err := analyze(ctx, p, f, traceName, func(b *exectrace.Breakdown) {
		if want != "" && fmt.Sprintf("%x", b.SpanID) == want {
			found = b
		}
	})
	if err != nil {
		return err
	}
	if found == nil && len(w.Slowest) > 0 {
		found = w.Slowest[0]
	}
	if found != nil {
		p.breakdown(found)
	}
	return nil
}

func (p printer) files(m *manifest.Manifest, path string) {
	var files, missing, skipped [][]string
	for _, f := range m.Files {
		files = append(files, []string{f.Name, units.Format(float64(f.Bytes), "By"), openCommand(m, f.Name, path)})
	}
	for _, s := range m.Skipped {
		missing = append(missing, []string{s.What, s.Why})
	}
	for _, s := range m.SkippedCaptures {
		skipped = append(skipped, []string{s.Time.Format(time.RFC3339), s.Cause, s.Why})
	}
	p.section("files", files)
	p.section("missing", missing)
	p.section("captures skipped before this one", skipped)
}

// openCommand returns a shell command that opens a file.
func openCommand(m *manifest.Manifest, name, path string) string {
	base := strings.TrimSuffix(name, ".pb.gz") + ".base.pb.gz"
	switch full := quoted(filepath.Join(path, name)); {
	case strings.HasSuffix(name, ".pb.gz") && has(m, base):
		return "go tool pprof -http=: -diff_base " + quoted(filepath.Join(path, base)) + " " + full
	case strings.HasSuffix(name, ".pb.gz"):
		return "go tool pprof -http=: " + full
	case strings.HasSuffix(name, ".trace"):
		return "go tool trace " + full
	case strings.HasSuffix(name, ".gz"):
		return "zcat " + full
	default:
		return ""
	}
}

// quoted returns a path quoted for a shell: bundles, and the file names in them, may
// come from other machines.
func quoted(path string) string {
	ordinary := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("/._-+=:,@%", r)
	}
	if !strings.HasPrefix(path, "-") && !strings.ContainsFunc(path, func(r rune) bool { return !ordinary(r) }) {
		return path
	}
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func has(m *manifest.Manifest, name string) bool {
	return slices.ContainsFunc(m.Files, func(f manifest.File) bool { return f.Name == name })
}
