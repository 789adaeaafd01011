// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"testing"
	"time"
)

// flagged returns a series of 1000 samples with a span from 500 to 599 and the given
// scores.
func flagged(name string, scores map[int]float64) *series {
	s := &series{name: name, spans: []span{{500, 599}}}
	for i := range 1000 {
		s.when = append(s.when, time.Unix(int64(i)*300, 0))
		s.value, s.score = append(s.value, 0), append(s.score, scores[i])
	}
	return s
}

func TestScoreFollowsTheBenchmarksRules(t *testing.T) {
	middle := (2/(1+math.Exp(-2.5)) - 1) / (2/(1+math.Exp(-5)) - 1)
	for _, c := range []struct {
		name    string
		scores  map[int]float64
		profile int
		want    float64
	}{
		{"no alarm", nil, 0, 0},
		{"alarm at the first sample of the span", map[int]float64{500: 1}, 0, 100},
		{"alarm in the middle of the span", map[int]float64{550: 1}, 0, 50 * (1 + middle)},
		{"several alarms in the span: the best counts", map[int]float64{550: 1, 500: 1, 599: 1}, 0, 100},
		{"false alarm before the span", map[int]float64{500: 1, 300: 1}, 0, 100 - 50*0.11},
		{"false alarm in the low-FP profile", map[int]float64{500: 1, 300: 1}, 1, 100 - 50*0.22},
		{"false alarm far after the span", map[int]float64{500: 1, 950: 1}, 0, 100 - 50*0.11},
		{"alarm in the low-FN profile", map[int]float64{550: 1}, 2, 100 * (2 + middle) / 3},
		{"alarm at the beginning, which does not count", map[int]float64{500: 1, 149: 1}, 0, 100},
	} {
		o := newSheet([]*series{flagged("a/b", c.scores)}).at(profiles()[c.profile], 1)
		if math.Abs(o.score-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", c.name, o.score, c.want)
		}
	}
}

func TestBestFindsTheThresholdWithoutFalseAlarms(t *testing.T) {
	s := flagged("a/b", map[int]float64{510: 9, 200: 5, 201: 5, 505: 5})
	if o := newSheet([]*series{s}).best(profiles()[1]); o.threshold != 9 || o.found != 1 || o.episodes != 0 {
		t.Errorf("outcome %+v, want threshold 9 with 1 span found and no false alarm", o)
	}
}

// False alarms in a folder without spans count, too.
func TestCrossFoldersUsesTheThresholdOfTheOtherFolders(t *testing.T) {
	quiet := flagged("c/z", map[int]float64{300: 7})
	quiet.spans = nil
	all := []*series{
		flagged("a/x", map[int]float64{500: 8}),
		flagged("b/y", map[int]float64{500: 6}), // missed at 8, the best threshold of the others
		quiet,
	}
	// a at 6: 2 points of 2; b at 8: 0; c at 6: one false alarm.
	if got, want := crossFolders(all, profiles()[0]), 100*(2+0-0.11)/4; math.Abs(got-want) > 1e-9 {
		t.Errorf("score %v, want %v", got, want)
	}
}
