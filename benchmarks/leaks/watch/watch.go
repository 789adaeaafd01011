// SPDX-License-Identifier: Apache-2.0

// Package watch runs one workload under the goroutine detective, with time
// scaled down, and beside it the rules that other tools go by.
package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/runtimeinfo/host"
	"github.com/gmpulse/gmpulse/runtimeinfo/sampler"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// Config scales a run. Ages and trends scale with Slot: 250 ms instead of the
// detective's 5 s is time twenty times as fast.
type Config struct {
	Slot      time.Duration
	Slots     int           // how long the load lasts
	Grace     time.Duration // how long goroutines may take to end after it
	MinGrowth int
}

// Finding is a group, or a verdict on one.
type Finding struct {
	Key      string
	Kind     string // of the verdict
	Function string
	File     string
	Line     int
	Root     string // the root span that most were created under
	Count    int
	// Also are the other groups of the same verdict.
	Also []string
	// Application are the functions that the verdict shows first: where the
	// application waits, and where it creates the goroutines.
	Application []string
}

// Result is what one run showed. Truth are the groups that the workload left
// behind; everything else is what a rule said, at any time of the run.
type Result struct {
	Name     string
	Truth    []Finding
	Verdicts []Finding // of the detective: the first of each kind on each group
	Seconds  float64   // from the start to the first suspect, 0 without
	Peak     int

	Holmes bool     // goroutines 20 % above the mean of the last ten samples
	Rising []string // groups that rose five times in a row (monigo's rule, with our grouping)
	Left   []string // groups there at the end and not at the start (goleak's rule)
	Proven []string // what the goroutineleak profile named, nil where there is none
}

// Suspects returns the verdicts that are worth an alarm.
func (r *Result) Suspects() (s []Finding) {
	for _, v := range r.Verdicts {
		if goroutines.Kind(v.Kind).Suspect() {
			s = append(s, v)
		}
	}
	return s
}

// Run starts load, which must stop making new work when stop is closed, and
// watches it.
func Run(name string, c Config, load func(s *Service, stop <-chan struct{})) (Result, error) {
	r := Result{Name: name}
	service := NewService(c.Slot)
	labels := goroutines.SurveyConfig{RootLabel: rootLabel, EpochLabel: epochLabel}
	recorder, err := exectrace.New(exectrace.Config{MaxGoroutines: 100_000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return r, err
	}
	d := goroutines.NewDetector(goroutines.DetectorConfig{
		Survey: labels, Origins: service, Recorder: recorder, Slot: c.Slot, MinGrowth: c.MinGrowth, Share: 1,
		Accepted: accepted,
		Logger:   slog.New(slog.DiscardHandler),
	})
	before, err := goroutines.TakeSurvey(context.Background(), labels)
	if err != nil {
		return r, err
	}
	w := watcher{result: &r, service: service, detective: d, series: map[string][]int{}, seen: map[string]bool{}}
	stop := make(chan struct{})
	recordings := record(d, c.Slot, stop)
	defer recordings.Wait()
	go load(service, stop)
	start := time.Now()
	slot := time.NewTicker(c.Slot) // a survey of thousands must not stretch the slots
	defer slot.Stop()
	for range c.Slots {
		<-slot.C
		if err := w.look(labels, time.Since(start)); err != nil {
			return r, err
		}
	}
	close(stop)
	time.Sleep(c.Grace)
	after, err := goroutines.TakeSurvey(context.Background(), labels)
	if err != nil {
		return r, err
	}
	r.truth(before, after)
	return r, r.prove(labels, after)
}

// accepted returns how many connections the process has accepted, as the agent does.
func accepted() (int, error) {
	const most = 100_000 // descriptors
	c, err := host.CountConnections(most)
	return c.Accepted, err
}

// record has the detective make the recordings that it wants, until stop is closed.
func record(d *goroutines.Detector, slot time.Duration, stop <-chan struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(slot)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				d.Record(context.Background())
			}
		}
	})
	return &wg
}

// watcher holds the series that the rules look at.
type watcher struct {
	result    *Result
	service   *Service
	detective *goroutines.Detector
	reader    *sampler.Reader
	total     []int
	series    map[string][]int
	seen      map[string]bool
	slots     int
}

// look takes one survey and asks every rule.
func (w *watcher) look(c goroutines.SurveyConfig, elapsed time.Duration) error {
	survey, err := goroutines.TakeSurvey(context.Background(), c)
	if err != nil {
		return err
	}
	if w.reader == nil {
		w.reader = sampler.NewReader(sampler.Config{})
	}
	w.reader.Read(sampler.Tick{Time: survey.Time})
	latest := w.reader.Snapshot()
	latest.SpanGroups = w.service.Groups()
	w.detective.Evaluate(survey, latest)
	for _, v := range w.detective.Report().Verdicts {
		w.note(&v, elapsed)
	}
	w.result.Peak = max(w.result.Peak, survey.Goroutines)
	w.total = append(w.total, survey.Goroutines)
	w.result.Holmes = w.result.Holmes || holmes(w.total)
	w.rising(survey)
	return nil
}

func (w *watcher) note(v *goroutines.Verdict, elapsed time.Duration) {
	id := string(v.Kind) + " " + v.Key.String()
	if w.seen[id] {
		w.renew(v)
		return
	}
	w.seen[id] = true
	f := finding(v.Key, v.Count)
	f.Kind = string(v.Kind)
	if len(v.Roots) > 0 {
		f.Root = v.Roots[0].Name
	}
	for _, k := range v.Also {
		f.Also = append(f.Also, k.String())
	}
	f.Application = []string{v.Where.Function, v.Creation.Function}
	w.result.Verdicts = append(w.result.Verdicts, f)
	if v.Kind.Suspect() && w.result.Seconds == 0 {
		w.result.Seconds = elapsed.Seconds()
	}
}

// renew adds what a verdict has learned since it was first seen: groups of the same
// cause, and the line that creates its goroutines.
func (w *watcher) renew(v *goroutines.Verdict) {
	for i := range w.result.Verdicts {
		f := &w.result.Verdicts[i]
		if f.Key != v.Key.String() || f.Kind != string(v.Kind) {
			continue
		}
		for _, k := range v.Also {
			if key := k.String(); !slices.Contains(f.Also, key) {
				f.Also = append(f.Also, key)
			}
		}
		for _, function := range []string{v.Where.Function, v.Creation.Function} {
			if !slices.Contains(f.Application, function) {
				f.Application = append(f.Application, function)
			}
		}
	}
}

// rising is monigo's rule: up in each of five steps.
func (w *watcher) rising(s *goroutines.Survey) {
	for i := range s.Groups {
		key := s.Groups[i].Key.String()
		x := w.series[key]
		for len(x) < w.slots {
			x = append(x, 0)
		}
		w.series[key] = append(x, s.Groups[i].Count)
	}
	w.slots++
	for key, x := range w.series {
		if n := len(x); n == w.slots && n > 5 && strictly(x[n-6:]) && !slices.Contains(w.result.Rising, key) {
			w.result.Rising = append(w.result.Rising, key)
		}
	}
}

func strictly(x []int) bool {
	for i := 1; i < len(x); i++ {
		if x[i] <= x[i-1] {
			return false
		}
	}
	return true
}

// holmes is mosn.io/holmes' rule: 20 % above the mean of the last ten samples,
// the newest among them. Its least number, 3,000 goroutines, is scaled to 50.
func holmes(total []int) bool {
	const window, least = 10, 50
	if len(total) < window {
		return false
	}
	sum := 0
	for _, n := range total[len(total)-window:] {
		sum += n
	}
	now := total[len(total)-1]
	return now >= least && float64(now) >= 1.2*float64(sum)/window
}

// leaves is how many goroutines a group must have left to count as leaking: every
// workload is repeated many times, and each has a server or two of its own.
const leaves = 5

// truth compares the end with the start.
func (r *Result) truth(before, after *goroutines.Survey) {
	for i := range after.Groups {
		g := &after.Groups[i]
		n := g.Count
		if b := before.Get(g.Key); b != nil {
			n -= b.Count
		}
		if n < leaves || ours(g) {
			continue
		}
		r.Left = append(r.Left, g.Key.String())
		r.Truth = append(r.Truth, finding(g.Key, n))
	}
}

// ours tells the goroutines of the harness.
func ours(g *goroutines.Group) bool {
	return strings.Contains(g.Entry, "/leaks/watch.") || g.Entry == "main.main" || g.Entry == "runtime.main"
}

// prove asks the garbage collector, twice, as the detective would.
func (r *Result) prove(c goroutines.SurveyConfig, after *goroutines.Survey) error {
	if !goroutines.HasLeakProfile() {
		return nil
	}
	r.Proven = []string{}
	var leaks [2]*goroutines.Survey // a goroutine in both leaks
	for i := range leaks {
		var err error
		leaks[i], err = goroutines.TakeLeakProfile(context.Background(), c, after)
		if errors.Is(err, goroutines.ErrTooCostly) {
			return nil // the guard is part of the rule
		}
		if err != nil {
			return fmt.Errorf("proof: %w", err)
		}
	}
	for i := range after.Groups {
		if g := &after.Groups[i]; leaks[0].Get(g.Key) != nil && leaks[1].Get(g.Key) != nil {
			r.Proven = append(r.Proven, g.Key.String())
		}
	}
	return nil
}

func finding(k goroutines.Key, n int) Finding {
	return Finding{Key: k.String(), Function: k.Site.Function, File: k.Site.File, Line: k.Site.Line, Count: n}
}
