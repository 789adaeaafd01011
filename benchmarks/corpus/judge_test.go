// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"example.com/corpus/kit"
)

func event(name, kind, function, root string, alarm bool) kit.Event {
	return kit.Event{At: 60, Name: name, Severity: "WARN", Alarm: alarm, Attrs: map[string]string{
		"verdict": kind, "function": function, "entry": "main.start", "created_under": root, "hint": "programs.leaks may be it"}}
}

func TestJudge(t *testing.T) {
	const opened = "goroutine.verdict.opened"
	wanted := kit.Leak("GET /leak", "programs.leaks")
	right := event(opened, "leak", "programs.leaks", "GET /leak", true)
	tests := []struct {
		name                  string
		want                  *kit.Want
		events                []kit.Event
		passed                bool
		incidents, false0     int
		place, kind, rootName bool
	}{
		{name: "benign and silent", passed: true},
		{name: "benign with INFO", events: []kit.Event{event(opened, "pool", "a.b", "", false)}, passed: true},
		{name: "benign with an alarm", events: []kit.Event{event(opened, "leak", "a.b", "", true)}, false0: 1},
		{name: "benign, the same alarm again", events: []kit.Event{event(opened, "leak", "a.b", "", true), event(opened, "leak", "a.b", "", true)}, false0: 1},
		{name: "a verdict that closes is no alarm", events: []kit.Event{event("goroutine.verdict.closed", "leak", "a.b", "", true)}, passed: true},
		{name: "an alarm that is not on goroutines", events: []kit.Event{event("span.never_ended", "", "", "", true)}, passed: true},
		{name: "a leak that is missed", want: wanted},
		{name: "right", want: wanted, events: []kit.Event{right}, passed: true, incidents: 1, place: true, kind: true, rootName: true},
		{name: "two kinds, one after the other", want: wanted, events: []kit.Event{event(opened, "pressure", "programs.leaks", "GET /leak", true), right},
			passed: true, incidents: 1, place: true, kind: true, rootName: true},
		{name: "wrong kind", want: wanted, events: []kit.Event{event(opened, "pressure", "programs.leaks", "GET /leak", true)}, incidents: 1, place: true, rootName: true},
		{name: "wrong root", want: wanted, events: []kit.Event{event(opened, "leak", "programs.leaks", "GET", true)}, incidents: 1, place: true, kind: true},
		{name: "only the hint names the place", want: wanted, events: []kit.Event{event(opened, "leak", "a.b", "GET /leak", true)}, false0: 1},
		{name: "two incidents", want: wanted, events: []kit.Event{right, event(opened, "leak", "programs.leaks2", "GET /leak", true)},
			incidents: 2, place: true, kind: true, rootName: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := judge(&run{entry: entry{Program: kit.Program{Want: tt.want}}, result: kit.Result{Events: tt.events}})
			if j.passed() != tt.passed || j.incidents != tt.incidents || j.falseAlarms != tt.false0 ||
				j.place != tt.place || j.kind != tt.kind || j.root != tt.rootName {
				t.Errorf("passed %v, %d incidents, %d false alarms, place %v, kind %v, root %v; want %+v",
					j.passed(), j.incidents, j.falseAlarms, j.place, j.kind, j.root, tt)
			}
		})
	}
}

func TestEntries(t *testing.T) {
	seen := map[string]entry{}
	var all, held [2]int
	for _, e := range entries() {
		if _, twice := seen[e.Name]; twice || e.Name == "" || e.Library == "" || e.Run == nil {
			t.Errorf("%q: there are two, or name, library or Run is missing", e.Name)
		}
		seen[e.Name] = e
		list := one01(e.Want != nil)
		all[list]++
		held[list] += one01(e.heldOut)
		if e.Want != nil && (len(e.Want.Functions) == 0 || e.Spans == kit.None != (e.Want.Root == "")) {
			t.Errorf("%s: no function is wanted, or a root span where there are none", e.Name)
		}
	}
	for i := range all {
		if len(heldOutPrograms()) == 0 {
			break // built with the tag thin
		}
		if share := float64(held[i]) / float64(all[i]); share < 0.25 || share > 0.6 {
			t.Errorf("%d of %d are held out, want a quarter to three fifths", held[i], all[i])
		}
	}
	for _, name := range sample() {
		if e, ok := seen[name]; !ok || e.heldOut {
			t.Errorf("sample: %s is held out or unknown", name)
		}
	}
}
