// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Group are goroutines in one state, at one place, made by one function, as
// runtime.Stack shows them.
type Group struct {
	State, Place, Creator string
	Count                 int
	Minutes               int // how many have waited for a minute or more
}

var header = regexp.MustCompile(`^goroutine \d+[^\[]*\[([^\],]+)(?:, (\d+) minutes)?`)

// truth returns the goroutines of this process, the largest group first.
func truth() []Group {
	buf := make([]byte, 64<<20)
	buf = buf[:runtime.Stack(buf, true)]
	groups := map[Group]*Group{}
	for dump := range strings.SplitSeq(string(buf), "\n\n") {
		lines := strings.Split(dump, "\n")
		m := header.FindStringSubmatch(lines[0])
		if m == nil {
			continue
		}
		key := Group{State: m[1]}
		key.Place, key.Creator = places(lines[1:])
		g := groups[key]
		if g == nil {
			g = &Group{State: key.State, Place: key.Place, Creator: key.Creator}
			groups[key] = g
		}
		g.Count++
		if m[2] != "" {
			g.Minutes++
		}
	}
	var all []Group
	for _, g := range groups {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Place, b.Place))
	})
	return all[:min(len(all), 30)]
}

// places returns the first frame outside the runtime, and who made the goroutine.
func places(lines []string) (at, by string) {
	for i := 0; i+1 < len(lines); i += 2 {
		f := lines[i]
		if rest, ok := strings.CutPrefix(f, "created by "); ok {
			by, _, _ = strings.Cut(rest, " ")
			break
		}
		if at == "" && !plumbing(f) {
			at = fmt.Sprintf("%s (%s)", function(f), place(lines[i+1]))
		}
	}
	if at == "" {
		at = function(lines[0])
	}
	return at, by
}

func plumbing(f string) bool {
	return slices.ContainsFunc([]string{"runtime.", "sync.", "internal/", "time.", "net.", "io.", "bufio.", "os.", "crypto/tls", "syscall."},
		func(p string) bool { return strings.HasPrefix(f, p) })
}

func function(f string) string {
	if i := strings.LastIndex(f, "("); i > 0 {
		return f[:i]
	}
	return f
}

func place(line string) string {
	line, _, _ = strings.Cut(strings.TrimSpace(line), " ")
	return path.Base(line)
}
