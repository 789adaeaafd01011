package goroutines

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// DetectiveConfig configures a [Detective]. The zero value is ready to use, but
// knows no spans. A number below zero is its default too.
type DetectiveConfig struct {
	// Survey says how goroutines are surveyed, and by which labels they are
	// told apart.
	Survey Config
	// Origins tells of the spans behind the labels. Default none: then ages are
	// not known, and a leak is suspected only.
	Origins Origins
	// RollCaller tells goroutines apart, so that the members of a group which were
	// not created under a span have an age as well: two roll calls, half a minute
	// (6 slots) apart, tell who stays. They are taken only while such a group grows,
	// and on the account of Share. Default none: then such a leak is suspected only.
	RollCaller RollCaller
	// Slot is the shortest slot of a trend, and how often surveys are taken at
	// most. Default 5 s: a leak is named after 8 slots at the earliest.
	Slot time.Duration
	// MinGrowth is how many goroutines a group must have grown by before it is
	// spoken of. Default 20.
	MinGrowth int
	// MinAge is the age below which a goroutine is in flight. Default 4 slots.
	MinAge time.Duration
	// Share of one core that surveys may use, see [NewGovernor]. Default 0.001.
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
	c.MinAge = cmp.Or(max(c.MinAge, 0), 4*c.Slot)
	c.Top = min(cmp.Or(max(c.Top, 0), 20), 100)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

// Detective surveys the goroutines from time to time, watches the groups, and
// says which of them leak, where they are stuck and under which span they were
// created. Make one with [NewDetective].
//
// On average it uses no more than a thousandth of a core. Where surveys have
// become too dear for that, it takes fewer; above Config.MaxGoroutines it takes
// none, and says so.
type Detective struct {
	config   DetectiveConfig
	surveyor *Surveyor
	governor *Governor
	prover   *Prover

	mu      sync.Mutex
	cases   *casebook
	report  Report
	found   runtimeinfo.Findings // in report; shared with snapshots
	skipped uint64
	taken   uint64
	failing bool

	rollTried          time.Time // last
	rolled, rollFailed uint64
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
	cases := newCasebook(rules{slot: c.Slot, minGrowth: c.MinGrowth, minAge: c.MinAge}, c.Origins)
	cases.rollable = c.RollCaller != nil
	cases.rolling = cases.rollable
	return &Detective{
		config:   c,
		surveyor: NewSurveyor(c.Survey),
		governor: NewGovernor(c.Share),
		prover:   NewProver(ProverConfig{Config: c.Survey}),
		cases:    cases,
	}
}

// Run investigates until ctx is done. latest returns the newest snapshot, or
// nil; from it come the circumstances that groups are judged in.
func (d *Detective) Run(ctx context.Context, latest func() *runtimeinfo.Snapshot) {
	pprof.Do(ctx, pprof.Labels(d.surveyor.config.AgentLabel, "detective"), func(ctx context.Context) {
		ticker := time.NewTicker(d.config.Slot)
		defer ticker.Stop()
		for {
			d.look(ctx, latest())
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
}

// look takes a survey, if one can be afforded, and judges it.
func (d *Detective) look(ctx context.Context, latest *runtimeinfo.Snapshot) {
	now, n := time.Now(), runtime.NumGoroutine()
	if err := d.surveyor.tooMany(n); err != nil {
		d.complain(err) // at once: the governor would think for an hour of what a million cost
		d.skip()
		return
	}
	if affordable := d.governor.Allow(now, n) || d.suspicious() && d.governor.Borrow(now, n); !affordable {
		d.skip()
		return
	}
	s, err := d.surveyor.Take(ctx)
	if err != nil {
		d.complain(err)
		d.skip()
		return
	}
	d.recovered()
	d.governor.Spend(now, n, s.CPU)
	d.Consider(s, latest)
	d.CallRoll(ctx)
	d.prove(ctx, s)
}

// Consider judges a survey in the light of a snapshot, which may be nil. Run
// calls it; tests and tools that have surveys of their own may.
func (d *Detective) Consider(s *Survey, latest *runtimeinfo.Snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken++
	verdicts := d.cases.add(s, circumstancesOf(s, latest, d.prover.Proven))
	d.report = Report{Survey: s, Verdicts: verdicts}
	d.found = d.report.findings(d.config.Top)
}

// prove asks the garbage collector about a suspicion, where the runtime can and
// it is not too dear; the prover has its own cooldown.
func (d *Detective) prove(ctx context.Context, s *Survey) {
	if !Provable() || !d.suspicious() {
		return
	}
	_, err := d.prover.Prove(ctx, s)
	if errors.Is(err, ErrProfiler) {
		d.complain(err)
	}
}

// suspicious tells whether a verdict stands that is worth a proof, or a survey
// out of turn.
func (d *Detective) suspicious() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.report.Verdicts, func(v Verdict) bool { return v.Kind.Suspect() })
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
	f.Surveys, f.SurveysSkipped, f.RollCalls, f.RollCallsFailed = d.taken, d.skipped, d.rolled, d.rollFailed
	f.Events = d.cases.takeEvents()
	return &f
}

// findings says what a report found; ticks are many to a survey.
func (r *Report) findings(top int) (f runtimeinfo.Findings) {
	kinds := map[Key]Kind{}
	for _, v := range r.Verdicts {
		kinds[v.Key] = v.Kind
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
