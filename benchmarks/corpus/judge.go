// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"example.com/corpus/kit"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// alarm is a verdict of WARN or ERROR on goroutines, with the words that tell where.
type alarm struct {
	at             float64 // seconds since the start
	kind, severity string
	site, root     string
	place          string // all attributes that may name a function
	atPlace        bool   // it is where the program leaks
}

// judgement is what came of one run.
type judgement struct {
	run    *run
	alarms []alarm
	others int // alarms that are not on goroutines
	// Of a program that leaks or hangs:
	place, kind, root bool
	incidents         int // groups with an alarm at the right place
	falseAlarms       int // alarms elsewhere, or any in a benign program
}

func judge(r *run) *judgement {
	j := &judgement{run: r}
	seen := map[string]bool{}
	for _, e := range r.result.Events {
		switch {
		case !e.Alarm:
		case !strings.HasPrefix(e.Name, "goroutine"):
			j.others++
		default:
			a := alarmOf(e)
			id := a.kind + "\x00" + a.place
			if !seen[id] && !strings.HasSuffix(e.Name, ".closed") {
				seen[id] = true
				j.alarms = append(j.alarms, a)
			}
		}
	}
	places := map[string]bool{}
	for i := range j.alarms {
		j.count(&j.alarms[i])
		if a := &j.alarms[i]; a.atPlace {
			places[a.place] = true
		}
	}
	j.incidents = len(places)
	return j
}

func alarmOf(e kit.Event) alarm {
	a := alarm{at: e.At, kind: e.Attrs["verdict"], severity: e.Severity, site: e.Attrs["function"], root: e.Attrs["created_under"]}
	var words []string
	for key, value := range e.Attrs {
		if !slices.Contains([]string{"hint", "evidence", "roots", "created_under", "ages", "wait", "wait_family", "verdict", "since",
			"goroutines", "growth_per_minute", "old", "leaked", "stack_bytes", "until_memory_limit"}, key) {
			words = append(words, value)
		}
	}
	slices.Sort(words)
	a.place = strings.Join(words, "\n")
	return a
}

// count compares an alarm with what is wanted.
func (j *judgement) count(a *alarm) {
	w := j.run.Want
	if w == nil {
		j.falseAlarms++
		return
	}
	a.atPlace = slices.ContainsFunc(w.Functions, func(f string) bool { return strings.Contains(a.place, f) })
	if !a.atPlace {
		j.falseAlarms++
		return
	}
	j.place = true
	j.kind = j.kind || slices.Contains(w.Kinds, goroutines.Kind(a.kind))
	j.root = j.root || a.root == w.Root || w.Root == ""
}

// passed reports whether the run shows nothing wrong: no alarm in a benign program,
// and in another the right kind at the right place under the right root span, as
// one incident, and no alarm elsewhere.
func (j *judgement) passed() bool {
	if j.run.err != nil || j.falseAlarms > 0 {
		return false
	}
	return j.run.Want == nil || j.place && j.kind && j.root && j.incidents == 1
}

// line says in a line what came of the run.
func (j *judgement) line() string {
	r := j.run
	switch {
	case r.skipped != "":
		return "skipped: " + r.skipped
	case r.err != nil:
		return "FAILED: " + r.err.Error()
	}
	verdict := "passed"
	if !j.passed() {
		verdict = "FALLS SHORT"
	}
	return fmt.Sprintf("%s; %s; peak %d goroutines, %.1f %% of a core, %d requests", verdict, j.said(), r.result.Peak,
		100*r.result.CPU/max(r.result.Seconds, 1), r.result.Requests)
}

// said lists the alarms, the first of each kind and place.
func (j *judgement) said() string {
	if len(j.alarms) == 0 {
		return "silent"
	}
	var all []string
	for i, a := range j.alarms {
		if i == 3 {
			all = append(all, fmt.Sprintf("%d more", len(j.alarms)-i))
			break
		}
		text := fmt.Sprintf("%s %s at %s", a.severity, a.kind, short(a.site))
		if a.root != "" {
			text += " under " + a.root
		}
		all = append(all, fmt.Sprintf("%s after %.0f s", text, a.at))
	}
	return strings.Join(all, ", ")
}

// short drops the directories of an import path.
func short(function string) string {
	return function[strings.LastIndex(function, "/")+1:]
}

// summary returns the line of a log that tells best why a program ended.
func summary(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	for _, l := range lines {
		if strings.HasPrefix(l, "panic: ") || strings.HasPrefix(l, "fatal error: ") || strings.HasPrefix(l, "corpus: ") {
			return l
		}
	}
	return lines[len(lines)-1]
}
