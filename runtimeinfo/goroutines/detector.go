// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/internal/agentlabel"
	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// DetectorConfig configures a [Detector]. The zero value is ready to use, but without spans
// and recordings. A negative number means the default.
type DetectorConfig struct {
	// Survey configures the surveys.
	Survey SurveyConfig
	// Origin returns what is known of the local root spans with one name that began in one
	// epoch, by the values of their labels, such as tracectx.Processor.Origin. It must be safe
	// for concurrent use and not block. Without it, verdicts do not name the spans under which
	// goroutines were created.
	Origin func(root, epoch string) (o runtimeinfo.Origin, ok bool)
	// Record records the goroutines for the given length while a group is suspicious, such as
	// exectrace.Recorder.Record. It may record for less time, see [Recording.Duration]. An
	// error means that no recording is possible now. Record must return soon after ctx is done.
	// Without it, only the goroutineleak profile can show that a group leaks.
	Record func(ctx context.Context, length time.Duration) (*Recording, error)
	// Accepted returns the number of open connections that the process has accepted. It is
	// called after each recording. Without it, groups that wait for a connection are never
	// reported as a leak.
	Accepted func() (int, error)
	// Slot is the time between surveys, the length of a recording, and the unit of all times
	// that verdicts need: a leak is reported after about 30 slots. The default is 5 s.
	Slot time.Duration
	// MinGrowth is the number of goroutines from which a group is reported. The default is 20.
	MinGrowth int
	// Share is the share of one core that surveys may use on average, and recordings again.
	// The default is 0.001.
	Share float64
	// Logger logs when surveys begin to fail and when they work again. The default is
	// slog.Default().
	Logger *slog.Logger
}

func (c DetectorConfig) withDefaults() DetectorConfig {
	c.Slot = cmp.Or(max(c.Slot, 0), 5*time.Second)
	c.MinGrowth = cmp.Or(max(c.MinGrowth, 0), 20)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Accepted == nil {
		c.Accepted = func() (int, error) { return -1, nil }
	}
	return c
}

// Detector surveys the goroutines periodically, records them while a group is suspicious, and
// reports which groups leak, where they wait, and under which spans they were created.
// [NewDetector] creates one. Its methods are safe for concurrent use.
//
// If surveys or recordings would exceed their share of a core, the Detector makes fewer of
// them. Above 200,000 goroutines, or if memory is short, it makes none and logs that.
type Detector struct {
	config       DetectorConfig
	surveyor     *surveyor
	budget       *cputime.Budget // of surveys
	leakProfiler *leakProfiler
	last         activity // at the last survey; used only by the goroutine of Run

	work          sync.Mutex // guards the fields below; the tick does not wait for it
	tracker       *groupTracker
	recordBudget  *cputime.Budget
	nextRecording time.Time     // the earliest
	surveyNow     chan struct{} // receives a value after each recording
	watching      chan struct{} // receives a value after each survey with groups to watch

	mu                     sync.Mutex // guards what is published
	report                 Report
	found                  findings            // at the survey of report
	events                 []runtimeinfo.Event // since the last snapshot
	taken, skipped         uint64              // surveys
	recorded, recordFailed uint64
	failing                bool
	burst                  int // goroutines when a burst was reported from their number alone; 0: none
}

// Report is the state of a Detector at one moment.
type Report struct {
	// Survey is the last one, nil before the first.
	Survey *Survey
	// Verdicts are the open ones, worst first.
	Verdicts []Verdict
}

// NewDetector returns a Detector. It does nothing until Run is called.
func NewDetector(c DetectorConfig) *Detector {
	c = c.withDefaults()
	tracker := newGroupTracker(rules{slot: c.Slot, minGrowth: c.MinGrowth}, c.Origin)
	tracker.recording = c.Record != nil
	return &Detector{
		config:       c,
		surveyor:     newSurveyor(c.Survey),
		budget:       cputime.NewBudget(c.Share, cputime.ProfileBase),
		leakProfiler: &leakProfiler{cooldown: leakProfileCooldown},
		tracker:      tracker,
		recordBudget: newRecordBudget(c.Share),
		surveyNow:    make(chan struct{}, 1),
		watching:     make(chan struct{}, 1),
	}
}

// Run surveys and records until ctx is done. latest returns the newest snapshot, or nil.
// Verdicts take memory, spans and the rate of goroutine creations from it.
func (d *Detector) Run(ctx context.Context, latest func() *runtimeinfo.Snapshot) {
	var wg sync.WaitGroup
	wg.Go(func() { d.repeatRecordings(ctx) })
	d.repeatSurveys(ctx, latest)
	wg.Wait()
}

// repeatSurveys surveys now, in each slot and after each recording, until ctx is done.
func (d *Detector) repeatSurveys(ctx context.Context, latest func() *runtimeinfo.Snapshot) {
	pprof.Do(ctx, pprof.Labels(agentlabel.Key, "surveys"), func(ctx context.Context) {
		ticker := time.NewTicker(d.config.Slot)
		defer ticker.Stop()
		for {
			d.survey(ctx, latest())
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			case <-d.surveyNow:
			}
		}
	})
}

// repeatRecordings records while surveys have found groups to watch, until ctx is done. A recording
// begins when a group needs it, not when the next slot begins.
func (d *Detector) repeatRecordings(ctx context.Context) {
	pprof.Do(ctx, pprof.Labels(agentlabel.Key, "recordings"), func(ctx context.Context) {
		ticker := time.NewTicker(d.config.Slot / 5)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-d.watching:
			}
			for !d.ask((*groupTracker).settled) {
				d.Record(ctx)
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
				}
			}
		}
	})
}

// survey takes a survey and evaluates it, if the budget allows and the process is not idle.
func (d *Detector) survey(ctx context.Context, latest *runtimeinfo.Snapshot) {
	now, n := time.Now(), runtime.NumGoroutine()
	is := activity{now, n, cputime.Process()}
	if is.idleSince(d.last, idleSlots*d.config.Slot) && !spansActive(latest) && d.ask((*groupTracker).settled) {
		return
	}
	err := d.surveyor.tooMany(n)
	if err != nil {
		d.setError(err) // even if the budget does not allow a survey
	}
	if err != nil || !d.budget.Allow(now, n) && !d.mayBorrow(now, n) {
		d.skip()
		d.evaluateCount(now, n)
		return
	}
	s, err := d.surveyor.take(ctx)
	d.setError(err)
	if err != nil {
		d.skip()
		return
	}
	meter := cputime.Start()
	d.Evaluate(s, latest)
	d.budget.Spend(now, n, s.CPU+meter.Stop())
	d.last = is
	if hasLeakProfile() && d.ask((*groupTracker).wantsLeakProfile) {
		if err := d.leakProfiler.take(ctx, s); errors.Is(err, profiles.ErrProfiler) {
			d.setError(err)
		}
	}
}

// Evaluate derives verdicts from a survey and a snapshot, which may be nil. Run calls it. A
// program that takes surveys by itself, instead of Run, calls Evaluate after each of them.
func (d *Detector) Evaluate(s *Survey, latest *runtimeinfo.Snapshot) {
	d.work.Lock()
	verdicts := d.tracker.survey(s, circumstancesOf(s, latest, d.leakProfiler.leaked))
	found := d.tracker.findings(publishedGroups)
	events := d.tracker.takeEvents()
	settled := d.tracker.settled()
	d.work.Unlock()
	if !settled {
		select {
		case d.watching <- struct{}{}:
		default:
		}
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken++
	d.report, d.found, d.burst = Report{Survey: s, Verdicts: verdicts}, found, 0
	d.publish(events)
}

// publish adds events for the next snapshot. The caller holds d.mu.
func (d *Detector) publish(events []runtimeinfo.Event) {
	const most = 256 // between two snapshots
	for _, e := range events {
		d.events = appendBounded(d.events, e, most)
	}
}

// ask returns the tracker's answer to a question.
func (d *Detector) ask(question func(*groupTracker) bool) bool {
	d.work.Lock()
	defer d.work.Unlock()
	return question(d.tracker)
}

// mayBorrow reports whether to take a survey ahead of the budget: a group is undecided, the
// credit suffices, and surveys remain at most four times as frequent as the share allows.
func (d *Detector) mayBorrow(now time.Time, n int) bool {
	const faster = 4
	return d.ask((*groupTracker).undecided) && d.budget.Borrow(now, n) &&
		now.Sub(d.last.at) >= d.budget.Next(d.budget.Estimate(n))/faster
}

// evaluateCount reports a burst from the number of goroutines, if a survey costs too much.
func (d *Detector) evaluateCount(now time.Time, n int) {
	const burst = 10 // times as many as in the last survey
	d.mu.Lock()
	defer d.mu.Unlock()
	before := 0
	if d.report.Survey != nil {
		before = d.report.Survey.Goroutines
	}
	if n < burst*max(before, burst*d.config.MinGrowth) || n < 2*d.burst {
		return
	}
	d.burst = n
	v := Verdict{Kind: Burst, Count: n, Since: now, Evidence: fmt.Sprintf("%d at the last survey; only the number is known, because a survey of so many goroutines costs too much", before)}
	d.report.Verdicts = append([]Verdict{v}, d.report.Verdicts...)
	d.publish([]runtimeinfo.Event{v.event("goroutine.verdict.opened", now)})
}

func (d *Detector) skip() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.skipped++
}

// setError logs when surveys begin to fail, and when they work again.
func (d *Detector) setError(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	d.mu.Lock()
	changed := d.failing != (err != nil)
	d.failing = err != nil
	d.mu.Unlock()
	switch {
	case changed && err != nil:
		d.config.Logger.Warn("gmpulse: goroutines cannot be surveyed", slog.Any("error", err))
	case changed:
		d.config.Logger.Info("gmpulse: goroutines are surveyed again")
	}
}

// Report returns the last survey and the open verdicts.
func (d *Detector) Report() Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.report
}

// circumstancesOf returns what verdicts need from a snapshot.
func circumstancesOf(s *Survey, latest *runtimeinfo.Snapshot, leaked func(Key) int) circumstances {
	in := circumstances{now: s.Time, created: math.NaN(), leaked: leaked}
	if latest == nil {
		return in
	}
	if v, ok := latest.Number("gmpulse.goroutine.creations"); ok {
		in.created = v
	}
	in.stack, _ = latest.Number("go.memory.used.stack")
	for _, key := range []string{"gmpulse.memory.headroom.gomemlimit", "gmpulse.memory.headroom.container"} {
		if v, ok := latest.Number(key); ok && (in.headroom == 0 || v < in.headroom) {
			in.headroom = v
		}
	}
	in.spans = make(map[string]runtimeinfo.SpanGroup, len(latest.SpanGroups))
	for _, g := range latest.SpanGroups {
		in.spans[g.Name] = g
	}
	return in
}
