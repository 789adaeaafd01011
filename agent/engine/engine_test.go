// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = engine.WithLogger(slog.New(slog.DiscardHandler))

// collect is an exporter that stores the snapshots it receives.
type collect struct {
	got  []*runtimeinfo.Snapshot
	shut int
}

func (c *collect) Export(_ context.Context, s *runtimeinfo.Snapshot) error {
	c.got = append(c.got, s)
	return nil
}

func (c *collect) Shutdown(context.Context) error {
	c.shut++
	return nil
}

// run starts an engine; stop calls Stop with a timeout.
func run(t *testing.T, opts ...engine.Option) (e *engine.Engine, stop func(d time.Duration) error) {
	t.Helper()
	e, err := engine.New(append([]engine.Option{quiet}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e, func(d time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		return e.Stop(ctx)
	}
}

// An exporter receives every snapshot while another one times out at every call and a third one
// panics at every call.
func TestExportersAreIsolated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		healthy := &collect{}
		hang := exporters.Func(func(ctx context.Context, _ *runtimeinfo.Snapshot) error {
			<-ctx.Done()
			return ctx.Err()
		})
		panics := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { panic("oh") })
		e, stop := run(t,
			engine.WithExporter("healthy", healthy, engine.EveryTick()),
			engine.WithExporter("hangs", hang, engine.EveryTick()),
			engine.WithExporter("panics", panics, engine.EveryTick()))
		time.Sleep(60*time.Second - 1)
		if err := stop(10 * time.Second); err != nil {
			t.Error(err)
		}
		// 60 ticks from 0 s to 59 s, and the last one by Stop.
		if len(healthy.got) != 61 {
			t.Errorf("the first exporter received %d snapshots, want 61", len(healthy.got))
		}
		for i, s := range healthy.got {
			if s.Seq != uint64(i+1) {
				t.Fatalf("snapshot %d has sequence number %d", i+1, s.Seq)
			}
		}
		for _, x := range e.Stats().Exporters {
			if a := x.Snapshots; a.Accepted != 61 || a.Accepted != a.Delivered+a.Lost()+a.Pending {
				t.Errorf("%s: %+v", x.Name, a)
			}
			switch x.Name {
			case "hangs":
				if x.Timeouts < 11 || x.Timeouts > 13 {
					t.Errorf("hangs: %d timeouts in 60 s at 5 s each", x.Timeouts)
				}
			case "panics":
				if x.Panics != 61 {
					t.Errorf("panics: %d panics, want 61", x.Panics)
				}
			}
		}
	})
}

func TestFirstSampleIsImmediate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, stop := run(t)
		synctest.Wait()
		if s := e.Snapshot(); s == nil || s.Seq != 1 || !s.Time.Equal(time.Now()) {
			t.Errorf("first snapshot %+v", s)
		}
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// Snapshots between two host passes have the values of the last one.
func TestHostValuesStayBetweenPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &collect{}
		_, stop := run(t, engine.WithExporter("c", c, engine.EveryTick()), engine.WithHostInterval(10*time.Second))
		time.Sleep(25 * time.Second)
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
		for _, s := range c.got[1:] {
			age, ok := s.Number("gmpulse.host.age")
			if !ok || age >= 10.5 {
				t.Errorf("snapshot %d: host values are %v s old (%v)", s.Seq, age, ok)
			}
		}
		if age, _ := c.got[9].Number("gmpulse.host.age"); age < 8 {
			t.Errorf("a host pass was made after %v s, want every 10 s", age)
		}
	})
}

// A process that works is read every 87 ms and at every tick, an idle one about twice a second.
func TestPulseInterval(t *testing.T) {
	for name, test := range map[string]struct {
		works       bool
		least, most uint64
	}{
		"idle":    {false, 20, 30},
		"working": {true, 120, 127}, // 115 pulses and 11 ticks
	} {
		t.Run(name, func(t *testing.T) {
			if cputime.Process() == 0 {
				t.Skip("this system does not report the CPU time of a process")
			}
			synctest.Test(t, func(t *testing.T) {
				e, stop := run(t)
				for range 402 {
					time.Sleep(25 * time.Millisecond)
					for used := cputime.Process(); test.works && cputime.Process() < used+time.Millisecond; {
					}
				}
				readings := e.Snapshot().Histogram("gmpulse.pulse.runnable_per_processor.distribution").Count()
				if readings < test.least || readings > test.most {
					t.Errorf("%d readings in 10.05 s, want %d to %d", readings, test.least, test.most)
				}
				if err := stop(time.Second); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestStopTwice(t *testing.T) {
	_, stop := run(t)
	for range 3 {
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
	}
}

func TestRunAfterStop(t *testing.T) {
	e, err := engine.New(quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := e.Run(t.Context()); !errors.Is(err, engine.ErrStopped) {
		t.Errorf("Run after Stop: %v", err)
	}
}

func TestStopOfStoppedEngineIgnoresItsContext(t *testing.T) {
	e, stop := run(t)
	if err := stop(time.Second); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 64 { // select chooses at random among ready cases
		if err := e.Stop(over); err != nil {
			t.Fatalf("Stop of a stopped engine: %v", err)
		}
	}
}

func TestStopBeforeRunShutsDownExporters(t *testing.T) {
	c := &collect{}
	e, err := engine.New(quiet, engine.WithExporter("c", c, engine.EveryTick()))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if c.shut != 1 || len(c.got) != 0 {
		t.Errorf("%d Shutdowns and %d snapshots, want 1 and 0", c.shut, len(c.got))
	}
}

func TestEngineRunsOnce(t *testing.T) {
	e, stop := run(t)
	for e.Snapshot() == nil {
		time.Sleep(time.Millisecond)
	}
	if err := e.Run(t.Context()); !errors.Is(err, engine.ErrStopped) {
		t.Errorf("second Run: %v", err)
	}
	if err := stop(time.Second); err != nil {
		t.Error(err)
	}
}

// Exporters are called at their own intervals. Each instance of a service has its own phase.
func TestExportersHaveIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		byDefault, half, every, tooShort := &collect{}, &collect{}, &collect{}, &collect{}
		e, stop := run(t, engine.WithResource(runtimeinfo.Attr{Key: "service.instance.id", Value: "one"}),
			engine.WithExporter("default", byDefault),
			engine.WithExporter("half", half, engine.Every(30*time.Second)),
			engine.WithExporter("every", every, engine.Every(time.Minute), engine.EveryTick()),
			engine.WithExporter("short", tooShort, engine.Every(10*time.Millisecond)))
		if err := e.Gauge("queue.depth", "{item}", "Items that wait.", func() float64 { return 7 }); err != nil {
			t.Fatal(err)
		}
		const ticks = 120
		time.Sleep(ticks*time.Second - 500*time.Millisecond)
		synctest.Wait()
		for name, c := range map[string]struct {
			got     []*runtimeinfo.Snapshot
			calls   int
			seconds int
		}{
			"default": {byDefault.got, ticks / 10, 10},
			"half":    {half.got, ticks / 30, 30},
			"every":   {every.got, ticks, 1},
			"short":   {tooShort.got, ticks, 1},
		} {
			if len(c.got) != c.calls {
				t.Errorf("%s: %d calls, want %d", name, len(c.got), c.calls)
				continue
			}
			s := c.got[2]
			if s.Ticks != c.seconds || s.Time.Sub(s.Since) != time.Duration(c.seconds)*time.Second {
				t.Errorf("%s: a snapshot of %d ticks from %v to %v", name, s.Ticks, s.Since, s.Time)
			}
			for p := range s.Points() {
				if p.Metric.Key() == "queue.depth" && (p.Range != nil) != (c.seconds > 1) {
					t.Errorf("%s: the range of a gauge of the application is %v", name, p.Range)
				}
			}
		}
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
		for name, c := range map[string]*collect{"default": byDefault, "half": half, "every": every, "short": tooShort} {
			total := 0
			for _, s := range c.got {
				total += s.Ticks
			}
			if total != ticks+1 {
				t.Errorf("%s: %d ticks after Stop, want %d", name, total, ticks+1)
			}
		}
	})
}

// The first calls of the instances of a service are distributed over the interval. An instance without an
// id has a random phase.
func TestFirstCallsAreDistributed(t *testing.T) {
	for _, resource := range []func(i int) engine.Option{
		func(i int) engine.Option {
			return engine.WithResource(runtimeinfo.Attr{Key: "service.instance.id", Value: strconv.Itoa(i)})
		},
		func(int) engine.Option { return nil },
	} {
		first := map[uint64]bool{}
		for i := range 50 {
			synctest.Test(t, func(t *testing.T) {
				c := &collect{}
				_, stop := run(t, resource(i), engine.WithHostInterval(time.Hour), engine.WithExporter("c", c))
				time.Sleep(9500 * time.Millisecond)
				synctest.Wait()
				if len(c.got) != 1 {
					t.Fatalf("%d calls in the first interval, want 1", len(c.got))
				}
				first[c.got[0].Seq] = true
				if err := stop(time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		if len(first) < 5 {
			t.Errorf("50 instances begin at %v", first)
		}
	}
}

func TestRunReturnsWhenItsContextIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &collect{}
		e, err := engine.New(quiet, engine.WithExporter("c", c, engine.EveryTick()))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
		if len(c.got) != 5 { // at 0, 1, 2, 3 s and the last one
			t.Errorf("%d snapshots, want 5", len(c.got))
		}
	})
}

func TestStopReturnsByItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e, stop := run(t, engine.WithExporter("stuck", exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error {
			<-release // ignores its context
			return nil
		}), engine.EveryTick()))
		time.Sleep(time.Second)
		begin := time.Now()
		err := stop(2 * time.Second)
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("Stop took %v", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "exporter stuck is still busy") {
			t.Errorf("Stop: %v", err)
		}
		synctest.Wait()
		if a := e.Stats().Exporters[0].Snapshots; a.Pending != 0 || a.Accepted != a.Delivered+a.Lost() {
			t.Errorf("statistics %+v", a)
		}
		close(release)
	})
}

func TestGaugeIsReadOncePerTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, stop := run(t)
		synctest.Wait()
		var n atomic.Int64
		for name, f := range map[string]func() float64{
			"test.count":  func() float64 { return float64(n.Add(1)) },
			"test.panics": func() float64 { panic("oh") },
		} {
			if err := e.Gauge(name, "", "A test.", f); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Gauge("test.nil", "", "A test.", nil); err == nil {
			t.Error("a nil function was accepted")
		}
		time.Sleep(3*time.Second + 500*time.Millisecond)
		s := e.Snapshot()
		if v, ok := s.Number("test.count"); !ok || v != 3 {
			t.Errorf("test.count is %v, %v", v, ok)
		}
		if v, ok := s.Number("test.panics"); ok {
			t.Errorf("test.panics is %v", v)
		}
		if f := e.Stats().GaugeFailures; f != 3 {
			t.Errorf("%d failures, want 3", f)
		}
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestGaugeNames(t *testing.T) {
	e, err := engine.New(quiet)
	if err != nil {
		t.Fatal(err)
	}
	add := func(name, help string) error { return e.Gauge(name, "", help, func() float64 { return 1 }) }
	for _, bad := range []string{"", "Queue", "queue depth", "queue..depth", ".queue", "9queue", "go.goroutine.count", "go.goroutine", "go.goroutine.count.mine", "go_goroutine_count", "gmpulse.threads"} {
		if err := add(bad, "Help."); err == nil {
			t.Errorf("the name %q was accepted", bad)
		}
	}
	for _, reserved := range []string{"id", "seq", "spans", "message", "resource", "resource.service", "event.name", "severity", "attributes.size", "record"} {
		if err := add(reserved, "Help."); err == nil || !strings.Contains(err.Error(), "a field") || !strings.Contains(err.Error(), "app."+reserved) {
			t.Errorf("the name %q: %v", reserved, err)
		}
	}
	for _, text := range []string{"", "not \xff UTF-8", strings.Repeat("x", 1025)} {
		if err := add("queue.depth", text); err == nil {
			t.Errorf("the help text %.20q was accepted", text)
		}
	}
	for _, unit := range []string{"\n", "\xff", strings.Repeat("x", 64)} {
		if err := e.Gauge("queue.depth", unit, "Help.", func() float64 { return 1 }); err == nil {
			t.Errorf("the unit %.20q was accepted", unit)
		}
	}
	if err := add(strings.Repeat("x", 256), "Help."); err == nil || len(err.Error()) > 200 {
		t.Errorf("a long name: %v", err)
	}
	if err := add("queue.depth", "Items that wait."); err != nil {
		t.Fatal(err)
	}
	if err := add("queue.depth", "Again."); err == nil {
		t.Error("a name was accepted twice")
	}
	if err := add("pool.idle", "Idle workers."); err != nil {
		t.Fatal(err)
	}
	for n := 2; n < 256; n++ {
		if err := add(fmt.Sprintf("g%d", n), "Help."); err != nil {
			t.Fatal(err)
		}
	}
	if err := add("one.too.many", "Help."); err == nil {
		t.Error("gauge 257 was accepted")
	}
}

// A gauge that blocks is absent until it returns and does not stop the ticks.
func TestGaugeThatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, stop := run(t)
		release := make(chan struct{})
		if err := e.Gauge("test.blocks", "", "A test.", func() float64 { <-release; return 7 }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Second + 500*time.Millisecond)
		if n := e.Stats().Ticks; n != 11 {
			t.Errorf("%d ticks, want 11", n)
		}
		if _, ok := e.Snapshot().Number("test.blocks"); ok {
			t.Error("the gauge has a value before it has returned")
		}
		close(release)
		time.Sleep(2 * time.Second)
		if v, ok := e.Snapshot().Number("test.blocks"); !ok || v != 7 {
			t.Errorf("afterwards %v, %v", v, ok)
		}
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// Gauges that hang, are slow, panic or return NaN are absent and do not affect another gauge. The
// log names the one that panics.
func TestGaugesAreIsolated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		e, stop := run(t, engine.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		release := make(chan struct{})
		for _, g := range []struct {
			name string
			f    func() float64
		}{
			{"test.nan", func() float64 { return math.NaN() }},
			{"test.hangs", func() float64 { <-release; return 1 }},
			{"test.slow", func() float64 { time.Sleep(20 * time.Millisecond); return 2 }},
			{"test.ok", func() float64 { return 3 }},
			{"test.panics", func() float64 { panic("oh") }},
		} {
			if err := e.Gauge(g.name, "", "A test.", g.f); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10*time.Second + 500*time.Millisecond)
		for name, want := range map[string]bool{"test.nan": false, "test.hangs": false, "test.slow": false, "test.ok": true, "test.panics": false} {
			if _, ok := e.Snapshot().Number(name); ok != want {
				t.Errorf("%s: %v, want %v", name, ok, want)
			}
		}
		close(release)
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), "gauge=test.panics"); n != 1 {
			t.Errorf("the gauge that panics is named %d times:\n%s", n, &log)
		}
	})
}

// started is the metric of panicky.
var started = &runtimeinfo.Metric{Name: "test.started", Kind: runtimeinfo.KindCounter, Help: "A test."}

// panicky is an analyzer that panics at its third call.
type panicky struct{ calls int }

func (*panicky) Metrics() []*runtimeinfo.Metric { return []*runtimeinfo.Metric{started} }

func (p *panicky) Analyze(d *runtimeinfo.Draft) {
	p.calls++
	if p.calls > 2 {
		panic("oh")
	}
	now := d.Snapshot().Time
	d.Spans = []runtimeinfo.Span{{Name: "GET /", Start: now.Add(-time.Second)}}
	d.SpanGroups = []runtimeinfo.SpanGroup{{Name: "GET /", Active: 1, Oldest: now.Add(-time.Second)}}
	d.Add(started, 5)
	d.Events = append(d.Events, runtimeinfo.Event{Name: "span.never_ended"})
}

// analyzer is a function that implements Analyzer without metrics.
type analyzer func(*runtimeinfo.Draft)

func (analyzer) Metrics() []*runtimeinfo.Metric { return nil }
func (f analyzer) Analyze(d *runtimeinfo.Draft) { f(d) }

// Analyzers and background functions that panic are logged once and stop neither the process nor
// the ticks.
func TestPanicsOfAnalyzersAreRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		c := &collect{}
		_, stop := run(t, engine.WithExporter("c", c, engine.EveryTick()),
			engine.WithAnalyzer("panics", analyzer(func(*runtimeinfo.Draft) { panic("oh") })),
			engine.WithAnalyzer("goexits", analyzer(func(*runtimeinfo.Draft) { runtime.Goexit() })),
			engine.WithBackground("background", func(context.Context) { panic("oh") }),
			engine.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		time.Sleep(3*time.Second + 500*time.Millisecond)
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
		if len(c.got) != 5 {
			t.Errorf("%d snapshots, want 5", len(c.got))
		}
		for _, part := range []string{"panics", "goexits", "background"} {
			if n := strings.Count(log.String(), "part="+part); n != 1 {
				t.Errorf("%s is in %d log lines, want 1", part, n)
			}
		}
		last := c.got[len(c.got)-1]
		if n := analyzerFailures(last, "panics", "panic"); n != 1 {
			t.Errorf("%v panics counted, want 1", n)
		}
	})
}

// analyzerFailures returns the number of failures of an analyzer.
func analyzerFailures(s *runtimeinfo.Snapshot, name, reason string) float64 {
	for p := range s.Series("gmpulse.analyzer.failures") {
		if p.Labels[0] == name && p.Labels[1] == reason {
			return p.Number
		}
	}
	return -1
}

// An analyzer that hangs delays one tick by 100 ms. The engine calls the other analyzers, counts
// and logs the timeout, and calls the analyzer again after it has returned. The next snapshot has
// the events of the late call.
func TestAnalyzerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		release := make(chan struct{})
		var calls atomic.Int64
		c := &collect{}
		e, stop := run(t, engine.WithExporter("c", c, engine.EveryTick()),
			engine.WithAnalyzer("hangs", analyzer(func(d *runtimeinfo.Draft) {
				n := calls.Add(1)
				d.Events = append(d.Events, runtimeinfo.Event{Name: fmt.Sprint("call ", n)})
				<-release
			})),
			engine.WithAnalyzer("ok", analyzer(func(d *runtimeinfo.Draft) { d.Events = append(d.Events, runtimeinfo.Event{Name: "ok"}) })),
			engine.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		time.Sleep(5*time.Second + 500*time.Millisecond)
		if n := e.Stats().Ticks; n != 6 {
			t.Errorf("%d ticks, want 6", n)
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("called %d times while it hangs", n)
		}
		close(release)
		time.Sleep(2 * time.Second)
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
		var events []string
		for i, s := range c.got {
			for _, v := range s.Events {
				events = append(events, fmt.Sprint(i, " ", v.Name))
			}
		}
		want := "[0 ok 1 ok 2 ok 3 ok 4 ok 5 ok 6 call 1 6 call 2 6 ok 7 call 3 7 ok 8 call 4 8 ok]"
		if got := fmt.Sprint(events); got != want {
			t.Errorf("events %s, want %s", got, want)
		}
		if n := analyzerFailures(c.got[6], "hangs", "timeout"); n != 1 {
			t.Errorf("%v timeouts counted, want 1", n)
		}
		if got := log.String(); strings.Count(got, "analyzer does not return") != 1 || strings.Count(got, "works again") != 1 {
			t.Errorf("log:\n%s", got)
		}
	})
}

// A process that gets no CPU has many late calls; the log must not have two lines for each.
func TestLateAnalyzerIsCountedAndNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		c := &collect{}
		_, stop := run(t, engine.WithExporter("c", c, engine.EveryTick()),
			engine.WithAnalyzer("late", analyzer(func(*runtimeinfo.Draft) { time.Sleep(1500 * time.Millisecond) })),
			engine.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		time.Sleep(20*time.Second + 500*time.Millisecond)
		if err := stop(5 * time.Second); err != nil {
			t.Error(err)
		}
		if n := analyzerFailures(c.got[19], "late", "timeout"); n < 8 {
			t.Errorf("%v timeouts counted", n)
		}
		if got := log.String(); strings.Contains(got, "analyzer") {
			t.Errorf("log:\n%s", got)
		}
	})
}

// Stop returns by its deadline while an analyzer hangs.
func TestStopWhileAnAnalyzerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		_, stop := run(t, engine.WithAnalyzer("hangs", analyzer(func(*runtimeinfo.Draft) { <-release })))
		time.Sleep(time.Second)
		begin := time.Now()
		if err := stop(2 * time.Second); err == nil || time.Since(begin) > 2*time.Second {
			t.Errorf("Stop took %v: %v", time.Since(begin), err)
		}
		close(release)
	})
}

// panickingHandler is a log handler that panics.
type panickingHandler struct{ slog.Handler }

func (panickingHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (panickingHandler) WithAttrs([]slog.Attr) slog.Handler        { return panickingHandler{} }
func (panickingHandler) Handle(context.Context, slog.Record) error { panic("oh") }

// A log handler that panics does not stop the ticks.
func TestLogHandlerThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return errors.New("down") })
		e, stop := run(t, engine.WithExporter("fails", fails, engine.EveryTick()), engine.WithAnalyzer("spans", &panicky{}), engine.WithLogger(slog.New(panickingHandler{})))
		time.Sleep(5*time.Second + 500*time.Millisecond)
		if n := e.Stats().Ticks; n != 6 {
			t.Errorf("%d ticks, want 6", n)
		}
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestAnalyzerAddsToSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &collect{}
		_, stop := run(t, engine.WithExporter("c", c, engine.EveryTick()), engine.WithAnalyzer("spans", &panicky{}))
		time.Sleep(3*time.Second + 500*time.Millisecond)
		if err := stop(time.Second); err != nil {
			t.Error(err)
		}
		if len(c.got) != 5 {
			t.Fatalf("%d snapshots, want 5: a panic of an analyzer must not stop the ticks", len(c.got))
		}
		s := c.got[1]
		if len(s.Spans) != 1 || len(s.Events) != 1 {
			t.Errorf("spans %v, events %v", s.Spans, s.Events)
		}
		if v, ok := s.Number("test.started"); !ok || v != 5 {
			t.Errorf("started %v, %v", v, ok)
		}
		if _, ok := c.got[3].Number("test.started"); ok {
			t.Error("an analyzer that panicked still adds values")
		}
	})
}

func TestNewReturnsAllErrors(t *testing.T) {
	f := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return nil })
	_, err := engine.New(
		engine.WithInterval(time.Millisecond),
		engine.WithHostInterval(-time.Second),
		engine.WithExportTimeout(24*time.Hour),
		engine.WithExporter("", f),
		engine.WithExporter("a", f),
		engine.WithExporter("a", f),
		engine.WithExporter("b", nil),
		engine.WithExporter("c", f, engine.Every(time.Millisecond)),
		engine.WithQueue("d", f, nil, engine.Every(25*time.Hour)),
		engine.WithExporter("e", f, engine.Every(-1)),
		engine.WithExporter("f", f, engine.Every(0), engine.EveryTick(), nil))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"engine: WithInterval: 1ms is not between 10ms and 1h0m0s",
		"engine: WithHostInterval: -1s is not between",
		"engine: WithExportTimeout: 24h0m0s is not between",
		"the name is empty",
		`the name "a" is used twice`,
		`the exporter "b" is nil`,
		`engine: WithExporter: Every, for the exporter "c": 1ms is not between 10ms and 1h0m0s`,
		`"d": 25h0m0s is not between`,
		`"e": -1ns is not between`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not contain %q:\n%v", want, err)
		}
	}
}

func TestStalled(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		age  time.Duration
		want bool
	}{{0, false}, {4 * time.Second, false}, {6 * time.Second, true}} {
		s := engine.Stats{Interval: time.Second, LastTick: now.Add(-c.age)}
		if s.Stalled(now) != c.want {
			t.Errorf("%v after the last tick: %v", c.age, !c.want)
		}
	}
	if s := (engine.Stats{Interval: time.Second}); s.Stalled(now) {
		t.Error("stalled before the first tick")
	}
}
