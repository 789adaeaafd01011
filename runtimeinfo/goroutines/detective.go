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

	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// DetectiveConfig configures a [Detective]. The zero value is ready to use, but
// knows no spans and records nothing. A number below zero is its default too.
type DetectiveConfig struct {
	// Survey says how goroutines are surveyed, and by which labels they are
	// told apart.
	Survey Config
	// Origins tells of the spans behind the labels. Default none: then it is not known
	// under which spans goroutines were created.
	Origins Origins
	// Recorder records the goroutines of suspicious groups. Default none: then no
	// group is reported as a leak without a proof of the garbage collector.
	Recorder Recorder
	// Accepted returns how many connections the process has accepted and not closed.
	// It is called after each recording. Default none: then groups that wait for a
	// connection are never reported as a leak.
	Accepted func() (int, error)
	// Slot is the time between surveys, and the unit of all times that verdicts need:
	// a leak is reported after 30 slots or so. Recordings last one slot. Default 5 s.
	Slot time.Duration
	// MinGrowth is how many goroutines a group must have before it is reported.
	// Default 20.
	MinGrowth int
	// Share of one core that surveys may use, and recordings again, see
	// [NewGovernor]. Default 0.001.
	Share float64
	// Top is how many groups are published as metrics. Default 20, at most 100.
	Top int
	// Logger gets one line when surveys cannot be taken any more. Default
	// slog.Default().
	Logger *slog.Logger
}

func (c DetectiveConfig) withDefaults() DetectiveConfig {
	c.Slot = cmp.Or(max(c.Slot, 0), 5*time.Second)
	c.MinGrowth = cmp.Or(max(c.MinGrowth, 0), 20)
	c.Top = min(cmp.Or(max(c.Top, 0), 20), 100)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

// Detective surveys the goroutines from time to time, records those of suspicious
// groups, and reports which groups leak, where they are stuck and under which span
// they were created. Make one with [NewDetective].
//
// On average surveys use no more than a thousandth of a core, and so do recordings.
// Where they cost more, the Detective takes fewer; above Config.MaxGoroutines it
// takes none, and logs so.
type Detective struct {
	config   DetectiveConfig
	surveyor *Surveyor
	governor *Governor // of surveys
	prover   *Prover

	work     sync.Mutex // guards what follows, which the tick does not wait for
	tracker  *groupTracker
	recorder recorderState

	mu                     sync.Mutex // guards what is published
	report                 Report
	found                  runtimeinfo.Findings // in report; shared with snapshots
	events                 []runtimeinfo.Event  // since the last snapshot
	skipped                uint64
	taken                  uint64
	recorded, recordFailed uint64
	failing                bool
	burst                  int // goroutines when a burst was reported from their number alone; 0: none
}

// Report is what the detective knows at one moment.
type Report struct {
	// Survey is the last one, nil before the first.
	Survey *Survey
	// Verdicts are those that stand, worst first.
	Verdicts []Verdict
}

// Process is the verdict on the process as a whole: the worst on any group, ""
// when there is none.
func (r *Report) Process() Kind {
	if len(r.Verdicts) == 0 {
		return ""
	}
	return r.Verdicts[0].Kind
}

// NewDetective returns a Detective. It starts nothing.
func NewDetective(c DetectiveConfig) *Detective {
	c = c.withDefaults()
	tracker := newGroupTracker(rules{slot: c.Slot, minGrowth: c.MinGrowth}, c.Origins)
	tracker.recording = c.Recorder != nil
	return &Detective{
		config:   c,
		surveyor: NewSurveyor(c.Survey),
		governor: NewGovernor(c.Share),
		prover:   NewProver(ProverConfig{Config: c.Survey}),
		tracker:  tracker,
		recorder: recorderState{governor: newRecordingGovernor(c.Share)},
	}
}

// Run surveys and records until ctx is done. latest returns the newest snapshot, or
// nil; from it come the circumstances that groups are judged in.
func (d *Detective) Run(ctx context.Context, latest func() *runtimeinfo.Snapshot) {
	var wg sync.WaitGroup
	wg.Go(func() {
		pprof.Do(ctx, pprof.Labels(d.surveyor.config.AgentLabel, "recordings"), func(ctx context.Context) {
			d.every(ctx, func() { d.Record(ctx) })
		})
	})
	pprof.Do(ctx, pprof.Labels(d.surveyor.config.AgentLabel, "detective"), func(ctx context.Context) {
		d.every(ctx, func() { d.look(ctx, latest()) })
	})
	wg.Wait()
}

// every calls f now and in each slot until ctx is done.
func (d *Detective) every(ctx context.Context, f func()) {
	ticker := time.NewTicker(d.config.Slot)
	defer ticker.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look takes a survey, if one can be afforded, and judges it.
func (d *Detective) look(ctx context.Context, latest *runtimeinfo.Snapshot) {
	now, n := time.Now(), runtime.NumGoroutine()
	if err := d.surveyor.tooMany(n); err != nil {
		d.complain(err) // at once: the governor would wait for an hour after a survey of a million
		d.skip()
		d.countAlone(now, n)
		return
	}
	if affordable := d.governor.Allow(now, n) || d.mayBorrow(now, n); !affordable {
		d.skip()
		d.countAlone(now, n)
		return
	}
	s, err := d.surveyor.Take(ctx)
	if err != nil {
		d.complain(err)
		d.skip()
		return
	}
	d.recovered()
	judging := cputime.Start()
	d.Consider(s, latest)
	d.governor.Spend(now, n, s.CPU+judging.Stop())
	d.prove(ctx, s)
}

// Consider judges a survey in the light of a snapshot, which may be nil. Run
// calls it; tests and tools that have surveys of their own may.
func (d *Detective) Consider(s *Survey, latest *runtimeinfo.Snapshot) {
	d.work.Lock()
	verdicts := d.tracker.survey(s, circumstancesOf(s, latest, d.prover.Proven))
	kinds := d.tracker.kinds()
	events := d.tracker.takeEvents()
	d.work.Unlock()

	report := Report{Survey: s, Verdicts: verdicts}
	found := report.findings(d.config.Top, kinds)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken++
	d.report, d.found, d.burst = report, found, 0
	d.publish(events)
}

// publish adds events for the next snapshot. The caller holds d.mu.
func (d *Detective) publish(events []runtimeinfo.Event) {
	const most = 256 // between two ticks
	for _, e := range events {
		d.events = appendBounded(d.events, e, most)
	}
}

// prove asks the garbage collector about groups whose members do not run, where the
// runtime can and it does not cost too much; the prover has its own cooldown.
func (d *Detective) prove(ctx context.Context, s *Survey) {
	if !Provable() || !d.worthProof() {
		return
	}
	_, err := d.prover.Prove(ctx, s)
	if errors.Is(err, ErrProfiler) {
		d.complain(err)
	}
}

func (d *Detective) worthProof() bool {
	d.work.Lock()
	defer d.work.Unlock()
	return d.tracker.worthProof()
}

// mayBorrow reports whether to take a survey out of turn: it helps to decide on a group,
// it is within the credit, and the credit is not spent on surveys that follow at once.
func (d *Detective) mayBorrow(now time.Time, n int) bool {
	const faster = 4 // times as often as Allow would
	if !d.undecided() || !d.governor.Borrow(now, n) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	last := d.report.Survey
	return last == nil || now.Sub(last.Time) >= d.governor.Next(d.governor.Estimate(n))/faster
}

// undecided reports whether a survey out of turn would help to decide on a group.
func (d *Detective) undecided() bool {
	d.work.Lock()
	defer d.work.Unlock()
	return d.tracker.undecided()
}

// countAlone reports a burst of goroutines that are too many for a survey now: their
// number is known all the same.
func (d *Detective) countAlone(now time.Time, n int) {
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
	v := Verdict{Kind: Burst, Count: n, Since: now, Evidence: fmt.Sprintf("%d at the last survey; a survey of so many would cost too much, so only their number is known", before)}
	d.report.Verdicts = append([]Verdict{v}, d.report.Verdicts...)
	d.publish([]runtimeinfo.Event{v.event("goroutine.verdict.opened", now)})
}

func (d *Detective) skip() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.skipped++
}

// complain logs that surveys fail from now on: there are too many goroutines, or
// the profiler is broken.
func (d *Detective) complain(err error) {
	if errors.Is(err, context.Canceled) || !d.turns(true) {
		return
	}
	d.config.Logger.Warn("gmpulse: goroutines cannot be surveyed", slog.Any("error", err))
}

// recovered logs that surveys work again.
func (d *Detective) recovered() {
	if d.turns(false) {
		d.config.Logger.Info("gmpulse: goroutines are surveyed again")
	}
}

// turns sets whether surveys fail and tells whether that is new.
func (d *Detective) turns(failing bool) (changed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed = d.failing != failing
	d.failing = failing
	return changed
}

// Report returns what is known now.
func (d *Detective) Report() Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.report
}

// Findings returns what goes into the next snapshot, with the events since the
// last call.
func (d *Detective) Findings() *runtimeinfo.Findings {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.found
	f.Surveys, f.SurveysSkipped, f.Recordings, f.RecordingsFailed = d.taken, d.skipped, d.recorded, d.recordFailed
	f.Events, d.events = d.events, nil
	return &f
}

// findings converts a report for snapshots. Many snapshots share one survey.
// kinds has the verdict on each group.
func (r *Report) findings(top int, kinds map[Key]Kind) (f runtimeinfo.Findings) {
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		f.Leaked += v.Leaked
		if v.Kind.Suspect() {
			f.Suspects++
		}
	}
	groups := r.Survey.Groups
	for i := range groups[:min(len(groups), top)] {
		g := &groups[i]
		f.Groups = append(f.Groups, runtimeinfo.GoroutineGroup{
			Wait: g.Class.String(), Site: g.Site.String(), Entry: g.Entry,
			Verdict: string(kinds[g.Key]), Goroutines: g.Count,
		})
	}
	return f
}

// circumstancesOf reads what verdicts need from a snapshot.
func circumstancesOf(s *Survey, latest *runtimeinfo.Snapshot, proven func(Key) int) circumstances {
	in := circumstances{now: s.Time, created: math.NaN(), proven: proven}
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
