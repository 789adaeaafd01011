// SPDX-License-Identifier: Apache-2.0

package leaktest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rootLabel is tracectx.RootLabel, which the span processor sets.
const rootLabel = "gmpulse_root"

// Bounds of a message.
const (
	maxGroups = 20
	maxIDs    = 10
	maxFrames = 20
)

// leftover is a goroutine that a test left.
type leftover struct {
	*goroutine
	note string // further information on its origin
}

// kind is what the goroutines of a group have in common.
type kind struct {
	state, entry, note string
	where, creator     frame
}

// group is the goroutines of one kind.
type group struct {
	kind
	members []*goroutine
}

// groups groups equal goroutines, largest group first.
func groups(left []leftover) []group {
	byKind := map[kind]int{}
	var all []group
	for _, l := range left {
		k := kind{l.state, l.entry(), l.note, l.where(), l.creator}
		i, ok := byKind[k]
		if !ok {
			i = len(all)
			byKind[k] = i
			all = append(all, group{kind: k})
		}
		all[i].members = append(all[i].members, l.goroutine)
	}
	slices.SortStableFunc(all, func(a, b group) int { return len(b.members) - len(a.members) })
	return all
}

// message returns the failure message. what names the test or tests that ended.
func message(left []leftover, what string, wait time.Duration) string {
	var b strings.Builder
	goroutines := "1 goroutine is"
	if len(left) != 1 {
		goroutines = strconv.Itoa(len(left)) + " goroutines are"
	}
	fmt.Fprintf(&b, "leaktest: %s left %v after %s:", goroutines, max(wait, 0), what)
	all := groups(left)
	for i := range all {
		if i == maxGroups {
			fmt.Fprintf(&b, "\n\tand %d more kinds", len(all)-i)
			break
		}
		all[i].write(&b)
	}
	return b.String()
}

func (g *group) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n\t%d in %s at %s", len(g.members), g.state, g.where)
	if g.entry != "" && g.entry != g.where.function {
		fmt.Fprintf(b, "\n\t\tbegan in %s", g.entry)
	}
	if g.creator.function != "" {
		fmt.Fprintf(b, "\n\t\tcreated by %s", g.creator)
	}
	roots := map[string]int{}
	for _, m := range g.members {
		roots[m.labels[rootLabel]]++
	}
	for _, root := range slices.Sorted(maps.Keys(roots)) {
		if root != "" {
			fmt.Fprintf(b, "\n\t\tcreated under %s (%d)", root, roots[root])
		}
	}
	if g.note != "" {
		fmt.Fprintf(b, "\n\t\t%s", g.note)
	}
	g.writeStack(b)
}

// writeStack writes the ids of the members and the stack of the first one.
func (g *group) writeStack(b *strings.Builder) {
	b.WriteString("\n\t\t")
	for i, m := range g.members {
		if i == maxIDs {
			fmt.Fprintf(b, " and %d more", len(g.members)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(b, "goroutine %d", m.id)
	}
	for i, f := range g.members[0].frames {
		if i == maxFrames {
			fmt.Fprintf(b, "\n\t\t\tand %d more functions", len(g.members[0].frames)-i)
			break
		}
		fmt.Fprintf(b, "\n\t\t\t%s\n\t\t\t\t%s:%d", f.function, f.file, f.line)
	}
}
