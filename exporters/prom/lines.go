// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"sort"
	"strings"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// syntax is one of the two text formats of Prometheus.
type syntax int

const (
	classic     syntax = iota // text/plain; version=0.0.4
	openMetrics               // application/openmetrics-text
	numSyntaxes
)

// lines are the parts of a metric's text that are the same at every scrape.
type lines struct {
	family int                 // rank of its family
	head   [numSyntaxes]string // what comes before the family's values
	name   string
	// plain is all of a line but the value, for a number without variable labels.
	plain string
	// pieces of what stands between the braces: a piece, the value of a label,
	// a piece, and so on. One more than values.
	pieces []string
	values []int // indexes into Point.Labels, in the order of the pieces
}

func newLines(m *runtimeinfo.Metric, rank int) lines {
	l := lines{family: rank, name: Name(m)}
	for s := range numSyntaxes {
		l.head[s] = head(m, s)
	}
	l.setPieces(m)
	if len(l.values) == 0 {
		l.plain = string(append(l.appendName(nil, "", nil, nil), ' '))
	}
	return l
}

// head returns the comment lines of a metric's family.
func head(m *runtimeinfo.Metric, s syntax) string {
	name, help := Name(m), valid(m.Help)
	kind := "gauge"
	if k := promKind(m.Kind); k != runtimeinfo.KindGauge {
		kind = k.String()
	}
	if s == classic {
		help = strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(help)
		return "# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n"
	}
	if m.Kind == runtimeinfo.KindCounter {
		name = strings.TrimSuffix(name, "_total")
	}
	text := "# HELP " + name + " " + escaped(help) + "\n# TYPE " + name + " " + kind + "\n"
	if unit := unitWords(m.Unit); unit != "" {
		text += "# UNIT " + name + " " + unit + "\n"
	}
	return text
}

// label is one of a metric's.
type label struct {
	name  string
	index int // into Point.Labels; -1 for the metric's own
}

// sortedLabels returns the labels of a metric by name, as client_golang orders them.
func sortedLabels(m *runtimeinfo.Metric) (all []label) {
	if m.Attr.Key != "" {
		all = append(all, label{labelName(m.Attr.Key), -1})
	}
	for i, k := range m.Keys {
		all = append(all, label{labelName(k), i})
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all
}

// setPieces lays the labels out.
func (l *lines) setPieces(m *runtimeinfo.Metric) {
	piece := ""
	for i, x := range sortedLabels(m) {
		if i > 0 {
			piece += ","
		}
		piece += x.name + `="`
		if x.index < 0 {
			piece += escaped(valid(m.Attr.Value))
		} else {
			l.pieces, l.values = append(l.pieces, piece), append(l.values, x.index)
			piece = ""
		}
		piece += `"`
	}
	l.pieces = append(l.pieces, piece)
}

// appendName appends the name of a sample with its labels. bound is the text of a
// bucket's, nil for none.
func (l *lines) appendName(b []byte, suffix string, labels []string, bound []byte) []byte {
	b = append(b, l.name...)
	b = append(b, suffix...)
	if bound == nil && len(l.values) == 0 && l.pieces[0] == "" {
		return b
	}
	b = append(b, '{')
	start := len(b)
	b = append(b, l.pieces[0]...)
	for i, v := range l.values {
		b = appendEscaped(b, labels[v])
		b = append(b, l.pieces[i+1]...)
	}
	if bound != nil {
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, `le="`...)
		b = append(b, bound...)
		b = append(b, '"')
	}
	return append(b, '}')
}

func escaped(s string) string { return string(appendEscaped(nil, s)) }

// appendEscaped appends the value of a label.
func appendEscaped(b []byte, s string) []byte {
	for {
		i := strings.IndexAny(s, "\\\n\"")
		if i < 0 {
			return append(b, s...)
		}
		b = append(b, s[:i]...)
		b = append(b, '\\')
		if s[i] == '\n' {
			b = append(b, 'n')
		} else {
			b = append(b, s[i])
		}
		s = s[i+1:]
	}
}
