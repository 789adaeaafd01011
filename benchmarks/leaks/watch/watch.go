// SPDX-License-Identifier: Apache-2.0

// Package watch runs one workload and evaluates the leak detector and the rules of
// other tools on it, with time scaled down.
package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// Config scales a run. All durations of the detector scale with Slot: 250 ms instead
// of its default of 5 s make time twenty times as fast.
type Config struct {
	Slot      time.Duration
	Slots     int           // length of the load
	Grace     time.Duration // how long goroutines may take to end after the load
	MinGrowth int           // see [goroutines.DetectorConfig]
}

// Finding is a group, or a verdict on a group.
type Finding struct {
	Key      string
	Kind     string // of the verdict; empty for a group
	Function string
	File     string
	Line     int
	Root     string // name of the root span that created most of the goroutines
	Count    int
	// Also are the other groups of the same verdict.
	Also []string
	// Application has the functions of the application that the verdict names: where
	// the goroutines wait, and where they are created.
	Application []string
}

// Result is the result of one run.
type Result struct {
	Name     string
	Truth    []Finding // groups with leaked goroutines at the end of the run
	Verdicts []Finding // of the detector: the first of each kind on each group
	Seconds  float64   // from the start to the first suspect verdict, 0 if there is none
	Peak     int       // largest number of goroutines

	Holmes bool     // the number of goroutines was once 20 % above the mean of ten samples
	Rising []string // groups that grew five times in a row (monigo's rule, with gmpulse's grouping)
	Left   []string // groups present at the end but not at the start (goleak's rule)
	Proven []string // groups in two goroutineleak profiles; nil if the runtime has no such profile
}

// Suspects returns the verdicts that raise an alarm.
func (r *Result) Suspects() (s []Finding) {
	for _, v := range r.Verdicts {
		if goroutines.Kind(v.Kind).Suspect() {
			s = append(s, v)
		}
	}
	return s
}

// Run runs load and evaluates the rules at every slot. load must start no more work
// after stop is closed.
func Run(name string, c Config, load func(s *Service, stop <-chan struct{})) (Result, error) {
	r := Result{Name: name}
	service := NewService(c.Slot)
	labels := goroutines.SurveyConfig{RootLabel: rootLabel, EpochLabel: epochLabel}
	recorder, err := exectrace.New(exectrace.Config{MaxGoroutines: 100_000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return r, err
	}
	d := goroutines.NewDetector(goroutines.DetectorConfig{
		Survey: labels, Origin: service.Origin, Record: recorder.Record, Slot: c.Slot, MinGrowth: c.MinGrowth, Share: 1,
		Accepted: accepted,
		Logger:   slog.New(slog.DiscardHandler),
	})
	before, err := goroutines.TakeSurvey(context.Background(), labels)
	if err != nil {
		return r, err
	}
	w := watcher{result: &r, service: service, detector: d, series: map[string][]int{}, seen: map[string]bool{}}
	stop := make(chan struct{})
	recordings := record(d, c.Slot, stop)
	defer recordings.Wait()
	go load(service, stop)
	start := time.Now()
	slot := time.NewTicker(c.Slot) // so that the time of a survey does not lengthen the slots
	defer slot.Stop()
	for range c.Slots {
		<-slot.C
		if err := w.evaluate(labels, time.Since(start)); err != nil {
			return r, err
		}
	}
	close(stop)
	time.Sleep(c.Grace)
	after, err := goroutines.TakeSurvey(context.Background(), labels)
	if err != nil {
		return r, err
	}
	r.compare(before, after)
	return r, r.prove(labels, after)
}

// accepted returns the number of open connections that the process has accepted.
func accepted() (int, error) {
	const maxDescriptors = 100_000
	c, err := host.CountConnections(maxDescriptors)
	return c.Accepted, err
}

// record lets the detector make its recordings until stop is closed.
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

// watcher has the time series that the rules evaluate.
type watcher struct {
	result   *Result
	service  *Service
	detector *goroutines.Detector
	reader   *sampler.Reader
	total    []int            // goroutines at each slot
	series   map[string][]int // goroutines at each slot, by group
	seen     map[string]bool  // verdicts, by kind and group
	slots    int
}

// evaluate takes a survey and evaluates each rule on it.
func (w *watcher) evaluate(c goroutines.SurveyConfig, elapsed time.Duration) error {
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
	w.detector.Evaluate(survey, latest)
	for _, v := range w.detector.Report().Verdicts {
		w.addVerdict(&v, elapsed)
	}
	w.result.Peak = max(w.result.Peak, survey.Goroutines)
	w.total = append(w.total, survey.Goroutines)
	w.result.Holmes = w.result.Holmes || holmes(w.total)
	w.rising(survey)
	return nil
}

// addVerdict adds a verdict to the result, or updates it if it is known.
func (w *watcher) addVerdict(v *goroutines.Verdict, elapsed time.Duration) {
	id := string(v.Kind) + " " + v.Key.String()
	if w.seen[id] {
		w.updateVerdict(v)
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

// updateVerdict adds what a known verdict lacked: groups of the same cause, and the
// function that creates the goroutines.
func (w *watcher) updateVerdict(v *goroutines.Verdict) {
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

// rising is monigo's rule: a group grew at each of five slots.
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
		if n := len(x); n == w.slots && n > 5 && increasing(x[n-6:]) && !slices.Contains(w.result.Rising, key) {
			w.result.Rising = append(w.result.Rising, key)
		}
	}
}

func increasing(x []int) bool {
	for i := 1; i < len(x); i++ {
		if x[i] <= x[i-1] {
			return false
		}
	}
	return true
}

// holmes is the rule of mosn.io/holmes: 20 % above the mean of the last ten samples,
// including the newest. Its minimum of 3,000 goroutines is scaled to 50.
func holmes(total []int) bool {
	const window, minimum = 10, 50
	if len(total) < window {
		return false
	}
	sum := 0
	for _, n := range total[len(total)-window:] {
		sum += n
	}
	now := total[len(total)-1]
	return now >= minimum && float64(now) >= 1.2*float64(sum)/window
}

// minLeaked is the number of additional goroutines from which a group counts as
// leaking. A workload repeats its leak many times, and has a few server goroutines
// that are not leaks.
const minLeaked = 5

// compare sets Left and Truth: the groups that have grown between the two surveys.
func (r *Result) compare(before, after *goroutines.Survey) {
	for i := range after.Groups {
		g := &after.Groups[i]
		n := g.Count
		if b := before.Get(g.Key); b != nil {
			n -= b.Count
		}
		if n < minLeaked || ofHarness(g) {
			continue
		}
		r.Left = append(r.Left, g.Key.String())
		r.Truth = append(r.Truth, finding(g.Key, n))
	}
}

// ofHarness reports whether a group belongs to this package or to main, and not to the
// workload.
func ofHarness(g *goroutines.Group) bool {
	return strings.Contains(g.Entry, "/leaks/watch.") || g.Entry == "main.main" || g.Entry == "runtime.main"
}

// prove sets Proven from two goroutineleak profiles, as the detector does.
func (r *Result) prove(c goroutines.SurveyConfig, after *goroutines.Survey) error {
	if pprof.Lookup("goroutineleak") == nil {
		return nil
	}
	r.Proven = []string{}
	var leaks [2]*goroutines.Survey // a group counts as leaking if it is in both
	for i := range leaks {
		var b bytes.Buffer
		err := goroutines.WriteLeakProfile(context.Background(), &b, after)
		if errors.Is(err, goroutines.ErrTooCostly) {
			return nil // the limit is part of the rule
		}
		if err == nil {
			leaks[i], err = goroutines.ParseSurvey(b.Bytes(), c)
		}
		if err != nil {
			return fmt.Errorf("goroutineleak profile: %w", err)
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
