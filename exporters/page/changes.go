// SPDX-License-Identifier: Apache-2.0

package page

import (
	"math"
	"sort"
	"strings"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// maxScore bounds the score of a change. Scores above maxRanked rank the same: any
	// change of a column that was always zero has a high score.
	maxScore  = 1000
	maxRanked = 50
)

// changeJSON compares a column in two ranges.
type changeJSON struct {
	Key    string   `json:"key"`
	Before *float64 `json:"before"` // mean; null if it was absent
	During *float64 `json:"during"` // mean
	Peak   *float64 `json:"peak"`   // the value furthest from before
	// Score is the difference of the means in units of the variation before.
	Score float64 `json:"score"`

	rank float64
}

// changes compares every column in two ranges and returns the most significant first.
func (e *Exporter) changes(before, during [2]int64) []changeJSON {
	metrics := map[string]*runtimeinfo.Metric{}
	if s := e.latest.Load(); s != nil {
		for _, m := range s.Metrics() {
			metrics[m.Key()] = m
		}
	}
	was, is := e.history.read(before[0], before[1]-1, nil), e.history.read(during[0], during[1], nil)
	out := []changeJSON{}
	for c, key := range e.history.directory() {
		a := summarize(was.rows, c, math.Inf(-1))
		reference := math.Inf(-1) // without values before, the peak is the greatest
		if a.n > 0 {
			reference = a.mean
		}
		b := summarize(is.rows, c, reference)
		if a.n == 0 && b.n == 0 {
			continue
		}
		name, _, _ := strings.Cut(key, "{")
		m := metrics[name]
		score := score(a, b, normalChange(m))
		out = append(out, changeJSON{
			Key: key, Before: finite(a.mean), During: finite(b.mean), Peak: finite(b.peak), Score: score,
			rank: weight(key, m) * min(math.Abs(score), maxRanked),
		})
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].rank > out[j].rank })
	return out
}

// summary describes a column in a range. Without values, the numbers are NaN.
type summary struct {
	n               int
	mean, deviation float64
	peak            float64 // the value furthest from the reference
}

func summarize(rows [][]float32, c int, reference float64) summary {
	s := summary{peak: math.NaN()}
	var sum, squares float64
	for _, r := range rows {
		v := valueAt(r, c)
		if isAbsent(v) {
			continue
		}
		x := float64(v)
		s.n++
		sum += x
		squares += x * x
		further := math.Abs(x-reference) > math.Abs(s.peak-reference)
		if math.IsInf(reference, -1) {
			further = x > s.peak
		}
		if s.n == 1 || further {
			s.peak = x
		}
	}
	s.mean = sum / float64(s.n)
	s.deviation = math.Sqrt(max(0, squares/float64(s.n)-s.mean*s.mean))
	return s
}

// score returns the difference of the means in units of the variation before, to which
// a twentieth of the mean and the normal change are added.
func score(before, during summary, normal float64) float64 {
	if before.n == 0 || during.n == 0 {
		return 0
	}
	variation := before.deviation + math.Abs(before.mean)/20 + normal
	return min(max((during.mean-before.mean)/variation, -maxScore), maxScore)
}

// normalChange returns how much a metric changes all the time in a healthy process, in
// its own unit; counters are rates per second. m may be nil.
func normalChange(m *runtimeinfo.Metric) float64 {
	const smallest = 1e-9
	switch {
	case m == nil:
		return smallest
	case m.Unit == "By":
		return 256 << 10
	case m.Unit == "s" && m.Kind == runtimeinfo.KindCounter:
		return 0.01 // a hundredth of a core, or of the time
	case m.Unit == "s":
		return 1e-3
	case m.Unit == "1":
		return 0.01
	case m.Subsystem == runtimeinfo.SubsystemUser && m.Kind != runtimeinfo.KindCounter:
		return smallest // the scale of an application's own gauge is unknown
	default:
		return 1
	}
}

// weight returns how much a change of a column says about the service. It is low for
// the machine, which other processes use too, and for the cost of the agent.
func weight(column string, m *runtimeinfo.Metric) float64 {
	switch {
	case strings.HasPrefix(column, "band."):
		return 0.1
	case m == nil:
		return 1
	case strings.Contains(column, "goroutine"):
		return 4
	case m.Subsystem == runtimeinfo.SubsystemSystem:
		return 0.25
	case m.Subsystem == runtimeinfo.SubsystemAgent:
		return 0.1
	default:
		return 1
	}
}

// finite returns nil for a number that JSON cannot represent.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
