// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"cmp"
	"math"
	"sort"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// epochTally is the members of a group from one epoch, and the names that the root
// spans of that epoch ended with.
type epochTally struct {
	members int
	ended   []runtimeinfo.NameCount
}

// finalNames returns the roots of members whose spans got their names after the start:
// many begin as "GET" and become "GET /export/{id}" once the request is routed, when the
// goroutines that they created carry the first name already. Where the spans of one
// final name ended, epoch by epoch, in step with the members that were created, the
// members are theirs. Else they are spread over all final names by how many spans ended
// with each.
func finalNames(r Root, epochs []epochTally) []Root {
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
	if name, ok := inStep(epochs, ended); ok {
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

// inStep returns the name of which the spans that ended in each epoch were in proportion
// to the members created in it, as no other name's were. The measure is the squared
// difference over the number of members: about 1 or more where both are random, far
// less where each span creates as many members as every other.
func inStep(epochs []epochTally, ended map[string]uint64) (best string, ok bool) {
	const (
		enough = 5   // epochs with members
		near   = 0.7 // of the best: near the end of an epoch a few are counted in the next
		far    = 2   // times further off every other one must be
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
		each := float64(members) / float64(n) // members for each span
		distance := 0.0
		for _, e := range epochs {
			d := float64(e.members) - each*float64(countOf(e.ended, name))
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
