// SPDX-License-Identifier: Apache-2.0

package exporttest_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestCorrectExporterPasses(t *testing.T) {
	exporttest.Run(t, func(*testing.T) exporters.Exporter { return &fake{} })
}

// fake is an exporter that keeps the contract, unless export or shutdown breaks it.
type fake struct {
	export   func(ctx context.Context, s *runtimeinfo.Snapshot) error
	shutdown func(ctx context.Context, calls int32) error
	reopens  bool // Export works after Shutdown

	exports, shutdowns atomic.Int32
}

func (d *fake) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	if d.shutdowns.Load() > 0 && !d.reopens {
		return exporters.ErrShutdown
	}
	d.exports.Add(1)
	if d.export != nil {
		return d.export(ctx, s)
	}
	return ctx.Err()
}

func (d *fake) Shutdown(ctx context.Context) error {
	calls := d.shutdowns.Add(1)
	if d.shutdown != nil {
		return d.shutdown(ctx, calls)
	}
	return nil
}

// broken is an exporter that breaks the contract, with the rules that it breaks.
type broken struct {
	exporter func() exporters.Exporter
	rules    []string
}

var errTest = errors.New("test")

// failsFor returns an exporter that returns an error for some snapshots.
func failsFor(is func(s *runtimeinfo.Snapshot) bool) func() exporters.Exporter {
	return exports(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		if is(s) {
			return errTest
		}
		return nil
	})
}

func exports(f func(ctx context.Context, s *runtimeinfo.Snapshot) error) func() exporters.Exporter {
	return func() exporters.Exporter { return &fake{export: f} }
}

func shutsDown(f func(ctx context.Context, calls int32) error) func() exporters.Exporter {
	return func() exporters.Exporter { return &fake{shutdown: f} }
}

func allBroken() map[string]broken {
	all := brokenExports()
	for _, more := range []map[string]broken{brokenChanges(), brokenByValues(), brokenByContexts(), brokenShutdowns()} {
		maps.Copy(all, more)
	}
	return all
}

func brokenExports() map[string]broken {
	return map[string]broken{
		"fails without spans and events": {
			failsFor(func(s *runtimeinfo.Snapshot) bool { return s.Time.IsZero() }),
			[]string{"empty"},
		},
		"fails with spans and without events": {
			failsFor(func(s *runtimeinfo.Snapshot) bool { return len(s.Spans) == 2 && len(s.Events) == 0 && s.Seq == 3600 }),
			[]string{
				"full", "summary", "many", "canceled-before", "canceled-meanwhile", "shutdown", "no-goroutine-left", "no-goroutine-left/use",
				"unusual-quotes", "unusual-control", "unusual-utf8", "unusual-unicode", "unusual-blank", "unusual-long",
				"unusual-attributes", "unusual-numbers", "unusual-times", "unusual-crowd",
			},
		},
		"fails for a summary": {
			failsFor(func(s *runtimeinfo.Snapshot) bool { return s.Ticks > 1 && len(s.Events) == 0 }),
			[]string{"summary"},
		},
		"fails after a summary": {
			failsFor(func(s *runtimeinfo.Snapshot) bool { return s.Seq == 3601 && len(s.Events) > 0 }),
			[]string{"summary"},
		},
		"fails with two events": {
			failsFor(func(s *runtimeinfo.Snapshot) bool { return len(s.Events) == 2 }),
			[]string{"events"},
		},
		"panics at the 100th snapshot": {
			exports(func(_ context.Context, s *runtimeinfo.Snapshot) error {
				if s.Seq == 3699 {
					panic(errTest)
				}
				return nil
			}),
			[]string{"many"},
		},
	}
}

func widenRanges(_ *runtimeinfo.Snapshot, p runtimeinfo.Point) {
	if p.Range != nil {
		p.Range.Max++
	}
}

func brokenChanges() map[string]broken {
	return map[string]broken{
		"renames a metric":   {changes(func(_ *runtimeinfo.Snapshot, p runtimeinfo.Point) { p.Metric.Name += "_total" }), []string{"unchanged"}},
		"sorts labels":       {changes(func(_ *runtimeinfo.Snapshot, p runtimeinfo.Point) { slices.Sort(p.Labels) }), []string{"unchanged"}},
		"widens ranges":      {changes(widenRanges), []string{"unchanged"}},
		"sums buckets":       {changes(sumBuckets), []string{"unchanged"}},
		"numbers snapshots":  {changes(func(s *runtimeinfo.Snapshot, _ runtimeinfo.Point) { s.Seq = 1 }), []string{"unchanged"}},
		"sorts spans":        {changes(func(s *runtimeinfo.Snapshot, _ runtimeinfo.Point) { slices.Reverse(s.Spans) }), []string{"unchanged"}},
		"drops attributes":   {changes(func(s *runtimeinfo.Snapshot, _ runtimeinfo.Point) { clear(s.Events[0].Attrs) }), []string{"unchanged"}},
		"trims span names":   {changes(func(s *runtimeinfo.Snapshot, _ runtimeinfo.Point) { s.Events[0].Spans[0].Name = "POST" }), []string{"unchanged"}},
		"adds to a resource": {changes(func(s *runtimeinfo.Snapshot, _ runtimeinfo.Point) { s.Resource[0].Value = "x" }), []string{"unchanged"}},
	}
}

func brokenByValues() map[string]broken {
	return map[string]broken{
		"rejects text that is not UTF-8": {
			failsFor(func(s *runtimeinfo.Snapshot) bool {
				return len(s.Spans) > 0 && strings.ToValidUTF8(s.Spans[0].Name, "") != s.Spans[0].Name
			}),
			[]string{"unusual-utf8"},
		},
		"rejects long text": {
			failsFor(func(s *runtimeinfo.Snapshot) bool { return len(s.Spans) > 0 && len(s.Spans[0].Name) > 64<<10 }),
			[]string{"unusual-long"},
		},
		"calls LogValue itself": {exports(callLogValue), []string{"unusual-attributes"}},
		"fails after a large snapshot": {
			failsAfterLargeSnapshot,
			[]string{"unusual-crowd"},
		},
	}
}

func brokenByContexts() map[string]broken {
	return map[string]broken{
		"fails after a canceled call": {failsAfterCancel, []string{"canceled-before", "canceled-meanwhile"}},
		"ignores a context that is done": {
			exports(func(ctx context.Context, _ *runtimeinfo.Snapshot) error {
				if _, bounded := ctx.Deadline(); !bounded && ctx.Err() != nil {
					select {}
				}
				return nil
			}),
			[]string{"canceled-before"},
		},
		"ignores the end of its context": {
			exports(func(ctx context.Context, _ *runtimeinfo.Snapshot) error {
				if _, bounded := ctx.Deadline(); bounded && ctx.Err() == nil {
					<-ctx.Done()
					select {}
				}
				return nil
			}),
			[]string{"canceled-meanwhile"},
		},
	}
}

func brokenShutdowns() map[string]broken {
	leaks := make(chan struct{})
	return map[string]broken{
		"exports after Shutdown": {
			func() exporters.Exporter { return &fake{reopens: true} },
			[]string{"export-after-shutdown"},
		},
		"cannot be shut down": {
			shutsDown(func(context.Context, int32) error { return errTest }),
			[]string{"shutdown", "shutdown-unused", "no-goroutine-left", "no-goroutine-left/use"},
		},
		"shuts down only after an Export": {
			func() exporters.Exporter {
				d := &fake{}
				d.shutdown = func(context.Context, int32) error {
					if d.exports.Load() == 0 {
						return errTest
					}
					return nil
				}
				return d
			},
			[]string{"shutdown-unused"},
		},
		"ignores the deadline of Shutdown": {
			shutsDown(func(ctx context.Context, _ int32) error {
				if ctx.Err() != nil {
					select {}
				}
				return nil
			}),
			[]string{"shutdown-deadline"},
		},
		"closes a channel twice": {
			shutsDown(func(_ context.Context, calls int32) error {
				if calls > 1 {
					panic("close of closed channel")
				}
				return nil
			}),
			[]string{"shutdown-twice"},
		},
		"leaks a goroutine": {
			shutsDown(func(_ context.Context, calls int32) error {
				if calls == 1 {
					go func() { <-leaks }()
				}
				return nil
			}),
			[]string{"no-goroutine-left"},
		},
	}
}

// changes returns an exporter that changes snapshots: it calls f for each point of a
// snapshot with events.
func changes(f func(s *runtimeinfo.Snapshot, p runtimeinfo.Point)) func() exporters.Exporter {
	return exports(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		for p := range s.Points() {
			if len(s.Events) > 0 && len(s.Spans) > 1 {
				f(s, p)
			}
		}
		return nil
	})
}

func sumBuckets(_ *runtimeinfo.Snapshot, p runtimeinfo.Point) {
	if h := p.Histogram; h != nil {
		for i := range h.Counts[1:] {
			h.Counts[i+1] += h.Counts[i]
		}
	}
}

func callLogValue(_ context.Context, s *runtimeinfo.Snapshot) error {
	for _, e := range s.Events {
		for _, a := range e.Attrs {
			if a.Value.Kind() == slog.KindLogValuer {
				a.Value.LogValuer().LogValue()
			}
		}
	}
	return nil
}

func failsAfterLargeSnapshot() exporters.Exporter {
	var failed atomic.Bool
	return &fake{export: func(_ context.Context, s *runtimeinfo.Snapshot) error {
		if failed.Load() {
			return errTest
		}
		failed.Store(len(s.Events) == 1000)
		return nil
	}}
}

func failsAfterCancel() exporters.Exporter {
	var failed atomic.Bool
	return &fake{export: func(ctx context.Context, _ *runtimeinfo.Snapshot) error {
		if ctx.Err() != nil {
			failed.Store(true)
		}
		if failed.Load() {
			return errTest
		}
		if _, bounded := ctx.Deadline(); bounded {
			<-ctx.Done()
			failed.Store(true)
		}
		return nil
	}}
}

const breakEnv = "GMPULSE_EXPORTTEST_BREAK"

// TestBrokenExporterFailsItsRules runs the suite on each broken exporter in a separate
// process and checks that exactly the expected rules fail.
func TestBrokenExporterFailsItsRules(t *testing.T) {
	if name := os.Getenv(breakEnv); name != "" {
		exporttest.Run(t, func(*testing.T) exporters.Exporter { return allBroken()[name].exporter() })
		return
	}
	// All at once, because some of them wait for seconds.
	runs := map[string]*run{}
	for name := range allBroken() {
		runs[name] = start(t, name)
	}
	for name, b := range allBroken() {
		t.Run(name, func(t *testing.T) {
			got := runs[name].failed(t)
			want := slices.Sorted(slices.Values(b.rules))
			if !slices.Equal(got, want) {
				t.Errorf("rules that failed\n got %q\nwant %q", got, want)
			}
		})
	}
}

// run is one process with TestBrokenExporterFailsItsRules.
type run struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

func start(t *testing.T, name string) *run {
	t.Helper()
	r := &run{cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBrokenExporterFailsItsRules$")}
	r.cmd.Env = append(os.Environ(), breakEnv+"="+name)
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// failed waits for the process and returns the rules that failed in it, sorted.
func (r *run) failed(t *testing.T) []string {
	t.Helper()
	err := r.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		t.Fatalf("the suite passed: %v\n%s", err, r.out.Bytes())
	}
	var failed []string
	for _, m := range regexp.MustCompile(`--- FAIL: TestBrokenExporterFailsItsRules/(\S+)`).FindAllSubmatch(r.out.Bytes(), -1) {
		failed = append(failed, string(m[1]))
	}
	slices.Sort(failed)
	return failed
}

func TestSnapshotIsInCatalogueOrder(t *testing.T) {
	order := map[string]int{}
	for i, m := range catalogue.All() {
		order[m.Key()] = i
	}
	kinds := map[runtimeinfo.Kind]bool{}
	last := -1
	for p := range exporttest.Snapshot().Points() {
		if at := order[p.Metric.Key()]; at < last {
			t.Errorf("%s is not in the order of the catalogue", p.Metric.Key())
		} else {
			last = at
		}
		kinds[p.Metric.Kind] = true
	}
	if len(kinds) != 4 {
		t.Errorf("kinds %v, want all four", kinds)
	}
}

func TestSnapshotReturnsNewMemory(t *testing.T) {
	a, b := exporttest.Snapshot(), exporttest.Snapshot()
	a.Resource[0].Value, a.Spans[0].Name = "changed", "changed"
	for p := range a.Points() {
		p.Metric.Name = "changed"
	}
	if want := exporttest.Snapshot(); !reflect.DeepEqual(b.Spans, want.Spans) || !reflect.DeepEqual(b.Resource, want.Resource) {
		t.Errorf("a change of one snapshot changes another: %+v", b)
	}
	for p := range b.Points() {
		if p.Metric.Name == "changed" {
			t.Fatal("a change of one snapshot's metrics changes another")
		}
	}
}
