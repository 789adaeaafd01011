// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"cmp"
	"math"
	"sort"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// epochCount is the members of a group from one epoch, and the names with which the root spans
// of that epoch ended.
type epochCount struct {
	members int
	ended   []runtimeinfo.NameCount
}

// finalNames returns the roots of members by the names with which their root spans ended. A
// span is often renamed after its start, from "GET" to "GET /export/{id}", when the goroutines
// that it created already carry the first name. If the ended spans of one name are proportional
// to the created members, epoch by epoch, all members belong to that name. Otherwise they are
// divided among the names in proportion to their ended spans.
func finalNames(r Root, epochs []epochCount) []Root {
	var all uint64
	ended := map[string]uint64{}
	for _, e := range epochs {
		for _, n := range e.ended {
			ended[n.Name] += n.Count
			all += n.Count
		}
	}
	if len(ended) == 0 {
		return []Root{r}
	}
	if name, ok := proportionalName(epochs, ended); ok {
		r.Name = name
		return []Root{r}
	}
	roots := make([]Root, 0, len(ended))
	for name, n := range ended {
		roots = append(roots, Root{Name: name, Count: int(math.Round(float64(r.Count) * float64(n) / float64(all))), Examples: r.Examples})
	}
	sort.Slice(roots, func(i, j int) bool {
		return cmp.Or(cmp.Compare(roots[j].Count, roots[i].Count), cmp.Compare(roots[i].Name, roots[j].Name)) < 0
	})
	return roots
}

// proportionalName returns the one name whose ended spans are proportional to the created
// members in each epoch. The measure is the squared difference divided by the number of
// members. It is about 1 or more if both are random, and far less if each span creates as many
// members as every other.
func proportionalName(epochs []epochCount, ended map[string]uint64) (best string, ok bool) {
	const (
		enough = 5   // epochs with members
		near   = 0.7 // for the best name: spans near the end of an epoch may count in the next
		far    = 2   // factor by which every other name must be worse
	)
	filled, members := 0, 0
	for _, e := range epochs {
		members += e.members
		if e.members > 0 {
			filled++
		}
	}
	if filled < enough {
		return "", false
	}
	first, second := math.Inf(1), math.Inf(1)
	for name, n := range ended {
		perSpan := float64(members) / float64(n)
		distance := 0.0
		for _, e := range epochs {
			d := float64(e.members) - perSpan*float64(countOf(e.ended, name))
			distance += d * d
		}
		distance /= float64(members)
		if distance < first {
			best, first, second = name, distance, first
		} else {
			second = min(second, distance)
		}
	}
	return best, first <= near && far*first <= second
}

func countOf(list []runtimeinfo.NameCount, name string) uint64 {
	for _, n := range list {
		if n.Name == name {
			return n.Count
		}
	}
	return 0
}
