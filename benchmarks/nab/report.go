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

// report prints the benchmark's scores at the default threshold and at the best one for
// these series, then estimates for other series.
func report(all []*series) {
	sh := newSheet(all)
	for _, p := range profiles() {
		fmt.Printf("%-9s default %v\n%-9s best    %v\n", p.name, sh.at(p, rarity.Threshold), "", sh.best(p))
	}
	p := profiles()[0]
	fmt.Printf("%s, series from servers at the default threshold: %v\n", p.name, newSheet(servers(all)).at(p, rarity.Threshold))
	fmt.Printf("%s, standard error over the series, at the default threshold: %.1f\n", p.name, deviation(all, p))
	mean, low, high := plateau(sh, p)
	fmt.Printf("%s, mean over the thresholds within 6 %% of the default: %.1f; at most 2 points lower from %.2f to %.2f\n", p.name, mean, low, high)
	fmt.Printf("%s, each folder at the best threshold of the other folders: %.1f\n", p.name, crossFolders(all, p))
	fmt.Printf("%s, each half at the best threshold of the other half, mean of %d random halves: %.1f\n", p.name, cuts, crossHalves(all, p))
}

// deviation returns the jackknife estimate of the score's standard error over series.
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

// plateau returns the mean score over thresholds within 6 % of the default, and the
// range of thresholds at which the score is at most two points lower than there.
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

// crossFolders scores each folder at the best threshold of the other folders.
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

// crossHalves splits each folder at random and scores each half at the best threshold
// of the other half.
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

// parts sums the points of parts of the benchmark with different thresholds.
type parts struct{ points, spans float64 }

func (t *parts) add(some []*series, p profile, threshold float64) {
	o := newSheet(some).at(p, threshold)
	t.points += o.points
	t.spans += float64(o.spans)
}

func (t *parts) score(p profile) float64 { return 100 * t.points / (t.spans * (p.found + p.missed)) }

// servers returns the series that come from servers.
func servers(all []*series) []*series {
	in, _ := split(all, func(s *series) bool {
		return strings.HasPrefix(s.name, "realAWSCloudwatch/") ||
			strings.HasSuffix(s.name, "asg_misconfiguration.csv") || strings.HasSuffix(s.name, "request_latency_system_failure.csv")
	})
	return in
}
