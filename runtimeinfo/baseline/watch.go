// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/rarity"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// maxRoots is how many root-span names are watched: the first with minEnded spans.
	maxRoots = 8
	minEnded = 20
	// loadTime is the time constant of the average load.
	loadTime = 3 * time.Second
)

// Watch judges every snapshot by what it has learned from earlier ones. Use [New] to make
// one. All methods are safe for concurrent use, except that calls of Judge must not overlap.
//
// It raises its first alarm after five minutes. It takes about 0.3 µs per tick and 4 KiB for
// each signal: 14 of the process, 3 for each of the first eight root spans, and the signals of
// [Config.Signals].
type Watch struct {
	config Config

	mu              sync.Mutex
	input           input
	trackers        []*tracker
	budgets         map[string]*budget // by group
	roots           map[string]*root
	loadRate        readFunc
	load            average
	incident        incident
	groups          groupGrowth
	stored          map[string]*stored // contents of the state file
	reader          guard.Poller[stateRead]
	began           time.Time // of the first snapshot
	ceilingsChecked bool      // by warnUnusedCeilings
	unread          bool      // the contents of the state file are unknown; only New and Run use it
	unusable        bool      // the state file is damaged or of another version; as unread
}

// root is a watched root-span name.
type root struct {
	trackers []*tracker
	load     average
	arrivals float64
	known    bool // arrivals is set
}

// New returns a Watch with the contents of the state file. It learns anew if the file is
// missing, damaged, of another version or not a regular file. New waits at most 250 ms for
// the file. If that takes longer or the disk fails, [Watch.Run] reads the file again and does not
// replace it before. The error joins every invalid field.
func New(c Config) (*Watch, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	w := &Watch{
		config:   c,
		budgets:  map[string]*budget{},
		roots:    map[string]*root{},
		loadRate: rate("gmpulse.root_spans.started"),
	}
	if c.StateFile != "" {
		if err := w.restore(); err != nil {
			c.Logger.Warn("gmpulse: baselines start without a state", slog.String("file", c.StateFile), slog.Any("error", err))
		}
	}
	rows := defaultRows()
	for _, s := range c.Signals {
		rows = append(rows, s.row())
	}
	members := map[string]int{groupRequests: maxRoots * len(rootRows(""))}
	for i := range rows {
		members[rows[i].group]++
	}
	for group, n := range members {
		w.budgets[group] = newBudget(c.AlertsPerWeek, n)
	}
	for _, r := range rows {
		w.addTracker(r)
	}
	w.warnUnknownCeilings()
	return w, nil
}

func (w *Watch) addTracker(r row) *tracker {
	if v, ok := w.config.Ceilings[r.name]; ok {
		r.ceiling = v
	}
	t := &tracker{row: &r, minute: *rarity.New(r.shape == Spiky, time.Minute)}
	t.Scale = r.scale
	if r.user {
		t.units = new(unitGuard)
	}
	w.restoreTracker(t)
	w.trackers = append(w.trackers, t)
	return t
}

// Judge returns the expected bands of all signals that have a value, and events:
// "baseline.anomaly.opened" when signals leave their bands, "baseline.anomaly.closed" when
// all have returned, "baseline.new_normal" when a signal has kept its level for 15 minutes. An anomaly
// that is a warning opens an incident. "baseline.incident.closed" closes it when all signals have been
// as expected for two minutes.
func (w *Watch) Judge(s *runtimeinfo.Snapshot) (bands []runtimeinfo.Band, events []runtimeinfo.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	passed := w.input.next(s)
	if w.began.IsZero() {
		w.began = w.input.now
	}
	w.load.add(w.loadRate(&w.input), passed)
	w.groups.update(s)
	load := w.load.on(&w.trackers[0].Fast.Curve)
	for _, t := range w.trackers {
		if t.root == "" {
			w.observe(t, load)
		}
	}
	w.observeRoots(passed)
	events = w.incident.events(w)
	bands = make([]runtimeinfo.Band, 0, len(w.trackers))
	for _, t := range w.trackers {
		if !t.last.IsZero() {
			bands = append(bands, t.band(&w.input))
		}
	}
	w.warnUnusedCeilings()
	return bands, events
}

func (w *Watch) observe(t *tracker, load load) {
	c := t.observe(w.input.now, t.read(&w.input), load, w.budgets[t.group])
	w.incident.add(t, c)
}

func (w *Watch) observeRoots(passed time.Duration) {
	groups := w.input.snapshot.SpanGroups
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
		w.input.group = g
		load := r.load.on(&r.trackers[activeRow].Fast.Curve)
		for _, t := range r.trackers {
			w.observe(t, load)
		}
	}
	w.input.group = nil
}

// newRoot returns nil for a name that is not to be watched, or not yet.
func (w *Watch) newRoot(g *runtimeinfo.SpanGroup) *root {
	if len(w.roots) >= maxRoots || g.Ended < minEnded {
		return nil
	}
	r := &root{}
	for _, row := range rootRows(g.Name) {
		r.trackers = append(r.trackers, w.addTracker(row))
	}
	w.roots[g.Name] = r
	return r
}

// band returns what was expected of the newest value.
func (t *tracker) band(in *input) runtimeinfo.Band {
	b := runtimeinfo.Band{
		Signal: t.name, Unit: t.unit, Value: t.value, Anomalies: t.anomalies,
		Expected: t.value, Lower: t.value, Upper: t.value,
		Learning: t.learning(),
	}
	if m := in.byKey[t.name]; t.user && m != nil {
		b.Unit = m.Unit
		if m.Kind == runtimeinfo.KindCounter {
			b.Unit += "/s"
		}
	}
	if t.cause != causeNone {
		b.Since = t.alarmBegan
	}
	if t.fast.known {
		x := t.expectation()
		b.Lower, b.Expected, b.Upper = t.unfold(x.lower), t.unfold(x.value), t.unfold(x.upper)
		if t.below {
			b.Lower, b.Upper = b.Upper, b.Lower
		}
	}
	if t.scale > 0 { // default signals are never negative
		b.Lower = max(0, b.Lower)
	}
	return b
}

// average is an exponentially weighted mean.
type average struct {
	value float64
	known bool
}

// on returns the load on a curve. The signal of c must have a value at every tick: only then are its
// sample counts a measure of familiar loads.
func (a *average) on(c *curve) load { return c.at(loadPlace(a.value)) }

// add adds a value that stands for the time passed. NaN is ignored.
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
