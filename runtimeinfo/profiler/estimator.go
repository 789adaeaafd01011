// SPDX-License-Identifier: Apache-2.0

package profiler

import (
	"math"
	"unique"
)

// estimator estimates CPU times from profiles, see [Usage].
type estimator struct {
	periods         []*period
	all             []float64 // sampled CPU seconds, by profile
	sum, n          float64   // of all
	samples         int64
	total, observed float64
	fraction        float64 // of the CPU time that was not observed
}

func newEstimator(periods []*period) *estimator {
	e := &estimator{periods: periods, n: float64(len(periods))}
	for _, x := range periods {
		all := x.all()
		e.all = append(e.all, all)
		e.sum += all
		e.samples += x.samples
		e.total += x.total
		e.observed += x.observed
	}
	if e.total > 0 {
		e.fraction = max(0, 1-e.observed/e.total)
	}
	return e
}

// estimate returns the CPU time that a part of the samples stands for, and its standard error. part
// has the sampled seconds of each profile. The estimates of all parts add up to the CPU time of the
// process.
func (e *estimator) estimate(part []float64) (seconds, deviation float64) {
	sum := 0.0
	for _, s := range part {
		sum += s
	}
	if sum == 0 {
		return 0, 0
	}
	// Beale's ratio estimator. Both corrections are 0 for one profile.
	mean := e.sum / e.n
	share := (sum + e.fraction*e.covariance(part)/mean) / (e.sum + e.fraction*e.covariance(e.all)/mean)
	residuals := 0.0
	for k, s := range part {
		r := s - share*e.all[k]
		residuals += r * r
	}
	between := 0.0
	if e.n > 1 {
		between = e.n / (e.n - 1) * residuals * e.fraction
	}
	perSample := e.sum / float64(e.samples)
	counting := sum * max(0, 1-sum/e.sum) * perSample
	return share * e.total, e.total / e.sum * math.Sqrt(max(between, counting))
}

// covariance returns the covariance of a part of the samples with all samples, over the profiles.
func (e *estimator) covariance(part []float64) (c float64) {
	if e.n < 2 {
		return 0
	}
	mean, sum := e.sum/e.n, 0.0
	for _, s := range part {
		sum += s
	}
	for k, s := range part {
		c += (s - sum/e.n) * (e.all[k] - mean)
	}
	return c / (e.n - 1)
}

// roots estimates the CPU time of root spans. The last name stands for all roots without a rank.
func (e *estimator) roots(rank map[unique.Handle[string]]int, names []string) []RootUsage {
	parts := make([][]float64, len(names))
	all := make([]RootUsage, len(names))
	for i, name := range names {
		all[i].Root, parts[i] = name, make([]float64, len(e.periods))
	}
	for k, x := range e.periods {
		for _, r := range x.roots {
			i, ok := rank[r.name]
			if !ok {
				i = len(names) - 1
			}
			all[i].Samples += r.samples
			parts[i][k] += r.seconds
		}
	}
	for i := range all {
		all[i].Seconds, all[i].Error = e.estimate(parts[i])
	}
	if last := len(all) - 1; all[last].Samples == 0 {
		all = all[:last]
	}
	return all
}

// counterScale returns the CPU time that a sampled second of the newest profile adds to the
// counters: the ratio of the last profiles. A ratio of few profiles is biased, so that at first it is
// the time since the previous profile, divided by the duration of the profile.
func counterScale(window []*period) float64 {
	const enough = 10
	if len(window) < enough {
		x := window[len(window)-1]
		return max(1, x.to.Sub(x.from).Seconds()/x.length)
	}
	total, sampled := 0.0, 0.0
	for _, x := range window {
		total += x.total
		sampled += x.all()
	}
	return total / max(sampled, minSampled)
}

// minSampled is less than one sample.
const minSampled = 1e-9
