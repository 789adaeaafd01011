// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"strings"

	"github.com/gmpulse/gmpulse/internal/rarity"
)

// report prints what the scores are worth: at the threshold that we ship and at
// the one that suits these series best; then what to expect of other series.
func report(all []*series) {
	sh := newSheet(all)
	for _, p := range profiles() {
		fmt.Printf("%-9s shipped %v\n%-9s best    %v\n", p.name, sh.at(p, rarity.Threshold), "", sh.best(p))
	}
	p := profiles()[0]
	fmt.Printf("%s, servers at the shipped threshold: %v\n", p.name, newSheet(servers(all)).at(p, rarity.Threshold))
	fmt.Printf("%s, standard error over the series, at the shipped threshold: %.1f\n", p.name, deviation(all, p))
	mean, low, high := plateau(sh, p)
	fmt.Printf("%s, mean of the thresholds 6 %% about the shipped one: %.1f; less than 2 points lower from %.2f to %.2f\n", p.name, mean, low, high)
	fmt.Printf("%s, each folder at the threshold of the others: %.1f\n", p.name, crossFolders(all, p))
	fmt.Printf("%s, each half at the threshold of the other, mean of %d cuts: %.1f\n", p.name, cuts, crossHalves(all, p))
}

// deviation is the standard error of the score, had other series been drawn: by
// leaving out one at a time.
func deviation(all []*series, p profile) float64 {
	n := float64(len(all))
	var sum, squares float64
	for i := range all {
		score := newSheet(slices.Delete(slices.Clone(all), i, i+1)).at(p, rarity.Threshold).score
		sum += score
		squares += score * score
	}
	return math.Sqrt((n - 1) / n * (squares - sum*sum/n))
}

// plateau is the mean score over the thresholds around the shipped one, and from
// where to where it is at most two points lower than there.
func plateau(sh *sheet, p profile) (mean, low, high float64) {
	const step, around, less = 0.005, 12, 2
	threshold := func(i int) float64 { return rarity.Threshold * (1 + step*float64(i)) }
	for i := -around; i <= around; i++ {
		mean += sh.at(p, threshold(i)).score / (2*around + 1)
	}
	edge := func(by int) float64 {
		i := 0
		for sh.at(p, threshold(i+by)).score > sh.at(p, rarity.Threshold).score-less {
			i += by
		}
		return threshold(i)
	}
	return mean, edge(-1), edge(1)
}

// crossFolders scores each folder at the threshold that suits all others best.
func crossFolders(all []*series, p profile) float64 {
	var total parts
	folders := map[string]bool{}
	for _, s := range all {
		folders[path.Dir(s.name)] = true
	}
	for folder := range folders {
		in, out := split(all, func(s *series) bool { return path.Dir(s.name) == folder })
		total.add(in, p, newSheet(out).best(p).threshold)
	}
	return total.score(p)
}

const cuts = 50

// crossHalves cuts each folder in two by chance and scores each half of all at the
// threshold that suits the other best.
func crossHalves(all []*series, p profile) float64 {
	var total parts
	r := rand.New(rand.NewPCG(1, 1))
	for range cuts {
		half := map[*series]bool{}
		shuffled := slices.Clone(all)
		r.Shuffle(len(all), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		slices.SortStableFunc(shuffled, func(a, b *series) int { return cmp.Compare(path.Dir(a.name), path.Dir(b.name)) })
		for i, s := range shuffled {
			half[s] = i%2 == 0
		}
		a, b := split(all, func(s *series) bool { return half[s] })
		total.add(a, p, newSheet(b).best(p).threshold)
		total.add(b, p, newSheet(a).best(p).threshold)
	}
	return total.score(p)
}

func split(all []*series, first func(*series) bool) (a, b []*series) {
	for _, s := range all {
		if first(s) {
			a = append(a, s)
		} else {
			b = append(b, s)
		}
	}
	return a, b
}

// parts gathers the points of parts that have thresholds of their own.
type parts struct{ points, spans float64 }

func (t *parts) add(some []*series, p profile, threshold float64) {
	o := newSheet(some).at(p, threshold)
	t.points += o.points
	t.spans += float64(o.spans)
}

func (t *parts) score(p profile) float64 { return 100 * t.points / (t.spans * (p.found + p.missed)) }

// servers are the series that come from servers.
func servers(all []*series) []*series {
	in, _ := split(all, func(s *series) bool {
		return strings.HasPrefix(s.name, "realAWSCloudwatch/") ||
			strings.HasSuffix(s.name, "asg_misconfiguration.csv") || strings.HasSuffix(s.name, "request_latency_system_failure.csv")
	})
	return in
}
