// SPDX-License-Identifier: Apache-2.0

package exporters

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Selection is a set of metrics: those that an exporter publishes. The zero Selection is the
// default set, which has every metric without [runtimeinfo.Metric.Detail]. A Selection is
// immutable and safe for concurrent use. Use [NewSelection] to make one.
type Selection struct {
	entries []entry
}

// entry adds metrics to a selection or removes them from it.
type entry struct {
	pattern string // "default", "all", a subsystem, or a pattern for names and keys
	remove  bool
}

const (
	selectDefault = "default"
	selectAll     = "all"
)

// NewSelection returns the set that the entries describe. Each argument is one entry or several
// with commas between them. The entries apply from left to right:
//
//   - default is the default set, and all is every metric
//   - the name of a subsystem, such as scheduler or [runtimeinfo.SubsystemUser], is its metrics
//   - any other text is a name of metrics or a [runtimeinfo.Metric.Key], or a pattern for them as
//     of [path.Match]: gmpulse.exporter.* or go.cpu.time
//   - a "-" before an entry removes its metrics
//
// If the first entry removes metrics, the set begins with default, otherwise it begins empty:
// "-container" is the default set without a subsystem, and "scheduler,gc" is two subsystems.
// Without an entry, NewSelection returns the default set.
//
// The error names every malformed entry. Whether an entry matches a metric is for
// [Selection.Check] to say, because an application may add metrics later.
func NewSelection(entries ...string) (Selection, error) {
	var s Selection
	var errs []error
	for text := range strings.SplitSeq(strings.Join(entries, ","), ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		pattern, remove := strings.CutPrefix(text, "-")
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" || strings.ContainsFunc(pattern, foreign) {
			errs = append(errs, fmt.Errorf("%q is neither default, all, a subsystem, a metric nor a pattern such as gmpulse.exporter.*", text))
			continue
		}
		s.entries = append(s.entries, entry{pattern, remove})
	}
	if len(s.entries) > 0 && s.entries[0].remove {
		s.entries = slices.Insert(s.entries, 0, entry{pattern: selectDefault})
	}
	return s, errors.Join(errs...)
}

// foreign reports whether r occurs neither in the names of metrics nor in patterns.
func foreign(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-*?[]^", r)
}

// keywords returns the entries that are right whatever metrics there are: an application may
// add its own later.
func keywords() []string {
	return []string{selectDefault, selectAll, string(runtimeinfo.SubsystemUser)}
}

// Match reports whether m is in the set. It allocates nothing for a metric without [runtimeinfo.Metric.Attr].
func (s Selection) Match(m *runtimeinfo.Metric) bool {
	if len(s.entries) == 0 {
		return !m.Detail
	}
	for _, e := range slices.Backward(s.entries) { // the last entry that matches decides
		if e.match(m) {
			return !e.remove
		}
	}
	return false
}

func (e entry) match(m *runtimeinfo.Metric) bool {
	switch e.pattern {
	case selectAll, string(m.Subsystem):
		return true
	case selectDefault:
		return !m.Detail
	}
	match, _ := path.Match(e.pattern, m.Name)
	if !match && m.Attr.Key != "" {
		match, _ = path.Match(e.pattern, m.Key())
	}
	return match
}

// Check returns an error that names each entry that matches none of metrics, with the metric or
// subsystem whose name is the most similar.
func (s Selection) Check(metrics []*runtimeinfo.Metric) error {
	var errs []error
	for _, e := range s.entries {
		if slices.Contains(keywords(), e.pattern) || slices.ContainsFunc(metrics, e.match) {
			continue
		}
		err := fmt.Errorf("%q matches no metric", e.pattern)
		if near := nearest(e.pattern, metrics); near != "" {
			err = fmt.Errorf("%w; did you mean %s?", err, near)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// nearest returns the name of a metric, subsystem or keyword that is similar to text, or "".
func nearest(text string, metrics []*runtimeinfo.Metric) (near string) {
	names := keywords()
	for _, m := range metrics {
		names = append(names, string(m.Subsystem), m.Name, m.Key())
	}
	text = dotted(text)
	best := len(text)/3 + 1 // more changes make another name
	for _, name := range names {
		if d := distance(text, dotted(name)); d < best {
			near, best = name, d
		}
	}
	return near
}

// dotted returns a name without what the Prometheus exposition adds to it, so that
// gmpulse_ticks_total is similar to gmpulse.ticks.
func dotted(name string) string {
	return strings.ReplaceAll(strings.TrimSuffix(strings.ToLower(name), "_total"), "_", ".")
}

// distance returns the number of bytes to insert, delete or replace to make b from a
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
