// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"strconv"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestBudgetLimitsBundles(t *testing.T) {
	c, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	b := newBudget(c)
	start := time.Now()
	for _, step := range []struct {
		after time.Duration
		cause string
		size  float64
		want  bool
	}{
		{0, "a", 100, true},
		{10*time.Minute - 1, "a", 199, false},
		{10*time.Minute - 1, "a", 200, true}, // doubled
		{20*time.Minute - 2, "a", 300, false},
		{20*time.Minute - 1, "a", 0, true}, // the cooldown is over
		{21 * time.Minute, "b", 0, true},
		{22 * time.Minute, "c", 0, false}, // a fifth within the hour
		{time.Hour, "c", 0, true},
	} {
		if why := b.reserve(start.Add(step.after), &Trigger{Cause: step.cause, Size: step.size}); (why == nil) != step.want {
			t.Errorf("%s of size %v after %v: %v, want %v", step.cause, step.size, step.after, why, step.want)
		}
	}
	minor := newBudget(c)
	for i, want := range []bool{true, true, false} {
		if why := minor.reserve(start, &Trigger{Cause: strconv.Itoa(i), Minor: true}); (why == nil) != want {
			t.Errorf("minor %d: %v, want %v", i, why, want)
		}
	}
	if why := minor.reserve(start, &Trigger{Cause: "major"}); why != nil {
		t.Errorf("a trigger that is not minor, after minor ones: %s", why)
	}
	unlimited := newBudget(Config{PerHour: 10})
	for _, step := range []struct {
		after time.Duration
		first bool
	}{{0, true}, {time.Hour - 1, false}, {2*time.Hour - 1, true}} {
		x := Trigger{Cause: "a"}
		if err := unlimited.reserve(start.Add(step.after), &x); err != nil || x.first != step.first {
			t.Errorf("after %v: %v, first is %v, want %v", step.after, err, x.first, step.first)
		}
	}
	for i := range 10_000 {
		b.reserve(start.Add(time.Duration(i)*time.Hour), &Trigger{Cause: "cause " + strconv.Itoa(i)})
	}
	if len(b.causes) > 10 {
		t.Errorf("%d causes are stored", len(b.causes))
	}
}

// The history has one snapshot per second, all snapshots with events, and none older than 15
// minutes.
func TestHistoryIsBounded(t *testing.T) {
	var h history
	start := time.Now()
	for i := range 20 * 60 * 10 { // 20 minutes, ten a second
		s := &runtimeinfo.Snapshot{Seq: uint64(i), Time: start.Add(time.Duration(i) * 100 * time.Millisecond)}
		if i%1000 == 505 {
			s.Events = []runtimeinfo.Event{{Name: "x"}}
		}
		h.add(s)
	}
	list := []*runtimeinfo.Snapshot(h)
	events := 0
	for i, s := range list {
		events += len(s.Events)
		if i > 0 && !s.Time.After(list[i-1].Time) {
			t.Fatalf("%v after %v", s.Time, list[i-1].Time)
		}
	}
	if span := list[len(list)-1].Time.Sub(list[0].Time); len(list) > historySize || span < 14*time.Minute || span > historyLength || events != 9 && events != 8 {
		t.Errorf("%d snapshots over %v with %d events", len(list), span, events)
	}
}
