// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// DefaultAlertsPerWeek is what is wanted of each group of signals.
	DefaultAlertsPerWeek = 1
	// MaxSignals bounds [Config.Signals].
	MaxSignals = 32

	// maxRoots is how many root-span names are watched: the first that had
	// minEnded spans.
	maxRoots = 8
	minEnded = 20
	// loadTime is over how long the load is averaged: long enough not to jitter,
	// short enough to follow a ramp.
	loadTime = 3 * time.Second
)

// Config configures a [Watch]. The zero value is ready to use.
type Config struct {
	// AlertsPerWeek is how many false alarms a week are bearable, of each group of
	// signals: goroutines, scheduler, gc, memory, cpu, requests, and the
	// application's own. Zero means [DefaultAlertsPerWeek]; from 0.01 to 1000.
	AlertsPerWeek float64
	// Signals are watched beside the default ones. At most [MaxSignals].
	Signals []Signal
	// Ceilings are values of default signals, by the name of the signal, at which
	// there is an alarm whatever is usual: {"memory.resident": 0.95}. A root span's
	// is "root_span.p99 GET /cart". Default none.
	Ceilings map[string]float64
	// StateFile keeps what was learned over a restart. It is written every five
	// minutes and at the end, whole or not at all, by way of a file beside it with
	// .tmp at the end of its name. One process may use it at a time. What is no
	// regular file is neither read nor replaced. Default none: each start learns anew.
	StateFile string
	// Logger is told when the state file cannot be read or written. Default, and
	// nil, is slog.Default().
	Logger *slog.Logger
}

// validate joins everything that is wrong.
func (c *Config) validate() error {
	var errs []error
	if c.AlertsPerWeek != 0 && !(c.AlertsPerWeek >= 0.01 && c.AlertsPerWeek <= 1000) {
		errs = append(errs, fmt.Errorf("baseline: AlertsPerWeek: %v is not between 0.01 and 1000", c.AlertsPerWeek))
	}
	if len(c.Signals) > MaxSignals {
		errs = append(errs, fmt.Errorf("baseline: Signals: %d of them, at most %d are watched", len(c.Signals), MaxSignals))
	}
	seen := map[string]bool{}
	for _, r := range defaults() {
		seen[r.name] = true
	}
	for _, s := range c.Signals {
		switch {
		case s.Metric == "":
			errs = append(errs, errors.New("baseline: Signals: the metric's name is empty"))
		case seen[s.Metric]:
			errs = append(errs, fmt.Errorf("baseline: Signals: %q is watched already", s.Metric))
		case s.Kind > Spiky:
			errs = append(errs, fmt.Errorf("baseline: Signals: %q: Kind %d is neither Steady nor Spiky", s.Metric, s.Kind))
		case math.IsNaN(s.Ceiling) || math.IsInf(s.Ceiling, 0):
			errs = append(errs, fmt.Errorf("baseline: Signals: %q: Ceiling %v is not a number; 0 is none", s.Metric, s.Ceiling))
		}
		seen[s.Metric] = true
	}
	for name, v := range c.Ceilings {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			errs = append(errs, fmt.Errorf("baseline: Ceilings: %q: %v is not a number", name, v))
		}
	}
	return errors.Join(errs...)
}

// Watch judges every snapshot by what it has learned from those before. Make one
// with [New]. All methods may be called from any goroutine; Judge from one at a
// time.
//
// It learns for five minutes before its first alarm. It costs about 0.3 µs and
// 4 KiB a signal: 14 of the process, 3 of each of the first eight root spans, and
// those asked for.
type Watch struct {
	config Config

	mu       sync.Mutex
	look     look
	trackers []*tracker
	budgets  map[string]*budget
	roots    map[string]*root
	loadRate read
	load     average
	incident incident
	groups   groupLog
	stored   map[string]*stored // what the state file has
	reading  *stateRead         // while that is late; only New and Run use it
}

// root is one watched root-span name.
type root struct {
	trackers []*tracker
	load     average
	arrivals float64
	known    bool
}

// New returns a Watch, with what the state file remembers. A file that is missing, of
// another version, damaged, or no regular file is no error: it starts anew. New waits
// 250 ms at most for it: what comes later is taken when [Watch.Run] has it. The error joins all
// that is wrong with the configuration.
func New(c Config) (*Watch, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if c.AlertsPerWeek == 0 {
		c.AlertsPerWeek = DefaultAlertsPerWeek
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	w := &Watch{
		config:   c,
		budgets:  map[string]*budget{},
		roots:    map[string]*root{},
		loadRate: rate("gmpulse.root_spans.started"),
	}
	w.restore()
	rows := defaults()
	for _, s := range c.Signals {
		rows = append(rows, s.row())
	}
	members := map[string]int{groupRequests: maxRoots * len(perRoot(""))}
	for i := range rows {
		members[rows[i].group]++
	}
	for group, n := range members {
		w.budgets[group] = newBudget(c.AlertsPerWeek, n)
	}
	for _, r := range rows {
		w.add(r)
	}
	return w, nil
}

// add begins to watch a signal.
func (w *Watch) add(r row) *tracker {
	if v, ok := w.config.Ceilings[r.name]; ok {
		r.ceiling = v
	}
	t := &tracker{row: &r, minute: *NewSeries(r.kind, time.Minute)}
	t.Scale = r.scale
	if r.free {
		t.units = new(unitGuard)
	}
	w.recall(t)
	w.trackers = append(w.trackers, t)
	return t
}

// Judge returns what was expected of a snapshot, one band for each signal that has
// a value, and events: "baseline.anomaly.opened" when signals leave their bands,
// ".closed" when all are back, "baseline.new_normal" when one has stayed where it
// is for 15 minutes. f is what the goroutine detective found, nil for nothing.
func (w *Watch) Judge(s *runtimeinfo.Snapshot, f *runtimeinfo.Findings) ([]runtimeinfo.Band, []runtimeinfo.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	passed := w.look.passed(s)
	w.look.at(s)
	w.load.add(w.loadRate(&w.look), passed)
	w.groups.follow(f, s.Time)
	now := w.load.on(&w.trackers[0].Fast.Curve)
	for _, t := range w.trackers {
		if t.root == "" {
			w.take(t, now)
		}
	}
	w.takeRoots(passed)
	events := w.incident.conclude(w)
	return w.bands(), events
}

// take shows one tracker the snapshot.
func (w *Watch) take(t *tracker, load load) {
	c := t.take(w.look.now, t.read(&w.look), load, w.budgets[t.group])
	w.incident.note(t, c)
}

// takeRoots shows the trackers of each root span its group.
func (w *Watch) takeRoots(passed time.Duration) {
	groups := w.look.snapshot.SpanGroups
	for i := range groups {
		g := &groups[i]
		r := w.roots[g.Name]
		if r == nil {
			if r = w.newRoot(g); r == nil {
				continue
			}
		}
		arrivals := float64(g.Ended) + float64(g.Active)
		if r.known && passed > 0 {
			r.load.add(max(0, arrivals-r.arrivals)/passed.Seconds(), passed)
		}
		r.arrivals, r.known = arrivals, true
		w.look.group = g
		now := r.load.on(&r.trackers[activeRow].Fast.Curve)
		for _, t := range r.trackers {
			w.take(t, now)
		}
	}
	w.look.group = nil
}

// newRoot begins to watch a name once it has had some spans.
func (w *Watch) newRoot(g *runtimeinfo.SpanGroup) *root {
	if len(w.roots) >= maxRoots || g.Ended < minEnded {
		return nil
	}
	r := &root{}
	for _, row := range perRoot(g.Name) {
		r.trackers = append(r.trackers, w.add(row))
	}
	w.roots[g.Name] = r
	return r
}

// bands says what was expected of every signal that had a value so far.
func (w *Watch) bands() []runtimeinfo.Band {
	bands := make([]runtimeinfo.Band, 0, len(w.trackers))
	for _, t := range w.trackers {
		if !t.last.IsZero() {
			bands = append(bands, t.asBand(&w.look))
		}
	}
	return bands
}

// asBand says what was expected of the newest value.
func (t *tracker) asBand(l *look) runtimeinfo.Band {
	b := runtimeinfo.Band{
		Signal: t.name, Unit: t.unit, Value: t.value, Anomalies: t.anomalies,
		Expected: t.value, Lower: t.value, Upper: t.value,
		Learning: t.learning(),
	}
	if m := l.byKey[t.name]; t.free && m != nil {
		b.Unit = m.Unit
		if m.Kind == runtimeinfo.KindCounter {
			b.Unit += "/s"
		}
	}
	if t.cause != byNothing {
		b.Since = t.alarmBegan
	}
	if t.opinion.known {
		b.Expected = t.unfold(t.opinion.expected)
		b.Lower, b.Upper = t.unfold(t.opinion.expected+t.lower), t.unfold(t.opinion.expected+t.upper)
		if t.below {
			b.Lower, b.Upper = b.Upper, b.Lower
		}
	}
	if t.scale > 0 { // of ours: none of them is ever negative
		b.Lower = max(0, b.Lower)
	}
	return b
}

// average is a mean that fades with time.
type average struct {
	value float64
	known bool
}

// on is where the average lies on the curves; that of a signal with a value at
// every tick tells how familiar it is.
func (a *average) on(c *curve) load { return c.at(loadPlace(a.value)) }

// add takes a value that stands for the time passed; NaN is none.
func (a *average) add(v float64, passed time.Duration) {
	if math.IsNaN(v) || passed <= 0 {
		return
	}
	if !a.known {
		a.value, a.known = v, true
		return
	}
	a.value += (1 - math.Exp(-float64(passed)/float64(loadTime))) * (v - a.value)
}
