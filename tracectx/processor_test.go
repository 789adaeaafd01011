// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

// newTracer returns a tracer of a provider with p as span processor.
func newTracer(t testing.TB, p *tracectx.Processor, options ...sdktrace.TracerProviderOption) trace.Tracer {
	t.Helper()
	return newProvider(t, append(options, sdktrace.WithSpanProcessor(p))...).Tracer("test")
}

func newProvider(t testing.TB, options ...sdktrace.TracerProviderOption) *sdktrace.TracerProvider {
	t.Helper()
	tp := sdktrace.NewTracerProvider(options...)
	t.Cleanup(func() {
		if err := tp.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tp
}

func TestNewReportsEveryInvalidField(t *testing.T) {
	p, err := tracectx.New(tracectx.Config{Capacity: -1, MaxNames: 1 << 20, TTL: -time.Second})
	if p != nil || err == nil {
		t.Fatalf("got %v, %v", p, err)
	}
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) || len(joined.Unwrap()) != 3 {
		t.Fatalf("want three errors: %v", err)
	}
	for i, field := range []string{"Capacity", "MaxNames", "TTL"} {
		if msg := joined.Unwrap()[i].Error(); !strings.HasPrefix(msg, "tracectx: Config."+field+" is ") {
			t.Errorf("error %d: %s", i, msg)
		}
	}
}

func TestActiveSpanIsReportedUntilItEnds(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newTracer(t, p)
	ctx, span := tracer.Start(t.Context(), "GET /")
	_, child := tracer.Start(ctx, "SELECT")

	a := expect(t, p, counts{active: 1, started: 1})
	got, want := a.Active[0], span.SpanContext()
	if got.TraceID != want.TraceID() || got.SpanID != want.SpanID() || got.Name != "GET /" {
		t.Errorf("got %+v, want GET / of %+v", got, want)
	}
	started := span.(sdktrace.ReadOnlySpan).StartTime()
	if !got.Start.Equal(started) || !a.Groups[0].Oldest.Equal(started) {
		t.Errorf("span starts at %v, group at %v, want %v", got.Start, a.Groups[0].Oldest, started)
	}

	child.End()
	expect(t, p, counts{active: 1, started: 1})
	span.End()
	expect(t, p, counts{started: 1, ended: 1})
}

func TestOnlyLocalRootsCount(t *testing.T) {
	remote := trace.ContextWithRemoteSpanContext(t.Context(), spanContext(7, 8))
	for _, test := range []struct {
		name string
		ctx  func(ctx context.Context) context.Context
		opts []trace.SpanStartOption
		want uint64
	}{
		{"child", func(ctx context.Context) context.Context { return ctx }, nil, 1},
		{"new root below a span", func(ctx context.Context) context.Context { return ctx }, []trace.SpanStartOption{trace.WithNewRoot()}, 2},
		{"remote parent", func(context.Context) context.Context { return remote }, nil, 2},
		{"new root below a remote parent", func(context.Context) context.Context { return remote }, []trace.SpanStartOption{trace.WithNewRoot()}, 2},
		{"no parent", func(context.Context) context.Context { return t.Context() }, nil, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProcessor(t, tracectx.Config{})
			tracer := newTracer(t, p)
			ctx, outer := tracer.Start(t.Context(), "outer")
			_, span := tracer.Start(test.ctx(ctx), "span", test.opts...)
			expect(t, p, counts{active: int(test.want), started: test.want})
			span.End()
			expect(t, p, counts{active: 1, started: test.want, ended: test.want - 1})
			outer.End()
			expect(t, p, counts{started: test.want, ended: test.want})
		})
	}
}

func TestSecondEndDoesNotCount(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	a, b := root(1, 1, "a"), root(1, 2, "b")
	p.OnStart(t.Context(), a)
	p.OnStart(t.Context(), b)
	p.OnEnd(a)
	p.OnEnd(a)
	expect(t, p, counts{active: 1, started: 2, ended: 1})

	_, span := newTracer(t, p).Start(t.Context(), "real")
	span.End()
	span.End()
	expect(t, p, counts{active: 1, started: 3, ended: 2})
}

func TestEndWithoutStartDoesNotCount(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	p.OnEnd(root(1, 1, "a"))
	expect(t, p, counts{})
}

func TestEndOnAnotherGoroutineCounts(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newTracer(t, p)
	spans := make(chan trace.Span)
	var ender sync.WaitGroup
	ender.Go(func() {
		for span := range spans {
			span.End()
		}
	})
	for range 100 {
		_, span := tracer.Start(t.Context(), "job")
		spans <- span
	}
	close(spans)
	ender.Wait()
	expect(t, p, counts{started: 100, ended: 100})
}

func TestSpanIDsAreUniqueInTheirTraceOnly(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	a, b := root(1, 9, "a"), root(2, 9, "b")
	p.OnStart(t.Context(), a)
	p.OnStart(t.Context(), b)
	expect(t, p, counts{active: 2, started: 2})
	p.OnEnd(a)
	got := expect(t, p, counts{active: 1, started: 2, ended: 1})
	if got.Active[0].Name != "b" {
		t.Errorf("%q is left", got.Active[0].Name)
	}
}

func TestZeroIDs(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	for _, id := range [][2]uint64{{0, 0}, {0, 1}, {1, 0}} {
		span := root(id[0], id[1], "odd")
		p.OnEnd(span) // must not match an unused slot
		p.OnStart(t.Context(), span)
		p.OnStart(t.Context(), span)
	}
	expect(t, p, counts{active: 3, started: 3})
}

func TestProcessorRegisteredTwiceCountsOnce(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	_, span := newTracer(t, p, sdktrace.WithSpanProcessor(p)).Start(t.Context(), "twice")
	expect(t, p, counts{active: 1, started: 1})
	span.End()
	expect(t, p, counts{started: 1, ended: 1})
}

func TestShutdownRemovesSpansAndIgnoresLaterOnes(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	a, b := root(1, 1, "a"), root(1, 2, "b")
	p.OnStart(t.Context(), a)
	p.OnStart(t.Context(), b)
	p.OnEnd(a)
	for range 2 {
		if err := errors.Join(p.ForceFlush(t.Context()), p.Shutdown(t.Context())); err != nil {
			t.Fatal(err)
		}
		p.OnEnd(b)
		p.OnStart(t.Context(), root(1, 3, "late"))
		expect(t, p, counts{started: 2, ended: 1, untracked: 1})
	}
}

func TestSpanThatExceedsTTLIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcessor(t, tracectx.Config{})
		lost := root(1, 1, "lost")
		p.OnStart(t.Context(), lost)
		time.Sleep(time.Hour) // not observed, so it does not count for the TTL
		expect(t, p, counts{active: 1, started: 1})
		time.Sleep(10*time.Minute - 1)
		if a := expect(t, p, counts{active: 1, started: 1}); len(a.Events) != 0 {
			t.Errorf("events before the TTL: %v", a.Events)
		}
		time.Sleep(time.Nanosecond)
		a := expect(t, p, counts{started: 1, neverEnded: 1})
		checkLost(t, a, lost, "1h10m0s")
		p.OnEnd(lost)
		if a := expect(t, p, counts{started: 1, neverEnded: 1}); len(a.Events) != 0 {
			t.Errorf("reported again: %v", a.Events)
		}
	})
}

func checkLost(t *testing.T, a tracectx.Activity, span *fakeSpan, age string) {
	t.Helper()
	if len(a.Events) != 1 || len(a.Events[0].Spans) != 1 {
		t.Fatalf("events %+v", a.Events)
	}
	e := a.Events[0]
	if e.Name != "span.never_ended" || e.Severity.String() != "WARN" || !e.Time.Equal(time.Now()) || e.Message == "" {
		t.Errorf("event %+v", e)
	}
	if got := e.Spans[0]; got.Name != span.name || got.SpanID != span.id.SpanID() || got.TraceID != span.id.TraceID() {
		t.Errorf("span %+v", got)
	}
	attrs := map[string]any{}
	for _, attr := range e.Attrs {
		attrs[attr.Key] = attr.Value.Any()
	}
	want, _ := time.ParseDuration(age)
	if attrs["span.name"] != span.name || attrs["span.age"] != want.Seconds() {
		t.Errorf("attributes %v", attrs)
	}
}

func TestNeverEndedEventsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcessor(t, tracectx.Config{TTL: time.Second})
		for i := range uint64(100) {
			p.OnStart(t.Context(), root(1, i+1, "lost"))
		}
		expect(t, p, counts{active: 100, started: 100})
		time.Sleep(time.Second)
		p.OnStart(t.Context(), root(1, 200, "young"))
		if a := expect(t, p, counts{active: 1, started: 101, neverEnded: 100}); len(a.Events) != 8 {
			t.Errorf("%d events", len(a.Events))
		}
	})
}

func TestTTLSurvivesAStepOfTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcessor(t, tracectx.Config{TTL: time.Minute})
		p.OnStart(t.Context(), root(1, 1, "a"))
		wall := time.Now().Round(0) // without the monotonic reading
		for i, step := range []time.Duration{0, -time.Hour, 30 * time.Second, 59 * time.Second, -24 * time.Hour} {
			if a := p.Observe(wall.Add(step)); len(a.Active) != 1+min(i, 1) || len(a.Events) != 0 {
				t.Errorf("at %v: %+v", step, a)
			}
			p.OnStart(t.Context(), root(1, 2, "started later"))
		}
		if a := p.Observe(wall.Add(time.Minute)); a.NeverEnded != 2 || len(a.Active) != 0 {
			t.Errorf("later: %+v", a)
		}
	})
}

func TestExtremeStartTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcessor(t, tracectx.Config{TTL: time.Minute})
		tracer := newTracer(t, p)
		now := time.Now()
		starts := []time.Time{
			time.Unix(math.MinInt64/4, 0), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Unix(0, 0), now,
			now.Add(time.Hour), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(math.MaxInt64/4, 0),
		}
		for i, start := range starts {
			tracer.Start(t.Context(), strconv.Itoa(i), trace.WithTimestamp(start))
		}
		a := expect(t, p, counts{active: len(starts), started: uint64(len(starts))})
		order := map[string]int{}
		for i, span := range a.Active {
			order[span.Name] = i
		}
		// The extremes are moved into the supported range and become equal.
		if order["2"] != 2 || order["3"] != 3 || order["4"] != 4 || order["0"]+order["1"] != 1 {
			t.Errorf("order %v", order)
		}
		if !a.Active[2].Start.Equal(starts[2]) || !a.Active[4].Start.Equal(starts[4]) {
			t.Errorf("starts %v, %v", a.Active[2].Start, a.Active[4].Start)
		}
		time.Sleep(time.Minute)
		a = expect(t, p, counts{started: uint64(len(starts)), neverEnded: uint64(len(starts))})
		for _, e := range a.Events {
			if age := e.Attrs[1].Value.Float64(); age < 0 {
				t.Errorf("%s has age %v s", e.Spans[0].Name, age)
			}
		}
	})
}

func TestActiveSpansAreTheOldestInOrder(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	epoch := time.Now()
	const n = 1000
	for i := range uint64(n) {
		span := root(1, i+1, fmt.Sprintf("g%d", i%3))
		span.start = epoch.Add(-time.Duration(i*617%n) * time.Second) // distinct ages
		p.OnStart(t.Context(), span)
	}
	a := expect(t, p, counts{active: n, started: n})
	for i, span := range a.Active {
		if want := epoch.Add(-time.Duration(n-1-i) * time.Second); !span.Start.Equal(want) {
			t.Errorf("span %d starts at %v, want %v", i, span.Start, want)
		}
	}
	oldest := map[string]time.Time{}
	for i := range uint64(n) {
		start, name := epoch.Add(-time.Duration(i*617%n)*time.Second), fmt.Sprintf("g%d", i%3)
		if was, ok := oldest[name]; !ok || start.Before(was) {
			oldest[name] = start
		}
	}
	for i, g := range a.Groups {
		if want := []int{334, 333, 333}[i]; g.Active != want || !g.Oldest.Equal(oldest[g.Name]) {
			t.Errorf("%+v: want %d, oldest %v", g, want, oldest[g.Name])
		}
	}
}

func TestNamesAreBounded(t *testing.T) {
	p := newProcessor(t, tracectx.Config{MaxNames: 3})
	names := []string{"a", "other", "b", strings.Repeat("x", 257), "bad\xff", "c", "d", "e", "a", strings.Repeat("x", 256)}
	for i, name := range names {
		p.OnStart(t.Context(), root(1, uint64(i+1), name))
	}
	a := expect(t, p, counts{active: len(names), started: uint64(len(names))})
	got := map[string]int{}
	for _, g := range a.Groups {
		got[g.Name] = g.Active
	}
	if want := "map[a:2 b:1 c:1 other:6]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNamesAddedConcurrentlyAreBounded(t *testing.T) {
	p := newProcessor(t, tracectx.Config{MaxNames: 50})
	var wg sync.WaitGroup
	for g := range uint64(8) {
		wg.Go(func() {
			for i := range uint64(400) {
				p.OnStart(context.Background(), root(g+1, i+1, fmt.Sprint("name ", i/4)))
			}
		})
	}
	wg.Wait()
	a := expect(t, p, counts{active: 3200, started: 3200})
	if len(a.Groups) != 51 {
		t.Errorf("%d names", len(a.Groups))
	}
	for _, g := range a.Groups {
		if g.Name != "other" && g.Active > 32 {
			t.Errorf("%d spans of name %s", g.Active, g.Name)
		}
	}
}

// TestFullTableCountsRejectedSpans fills the smallest table.
func TestFullTableCountsRejectedSpans(t *testing.T) {
	p := newProcessor(t, tracectx.Config{Capacity: 1})
	const n = 500
	for i := range uint64(n) {
		p.OnStart(t.Context(), root(1, i+1, "a"))
	}
	got, _ := observe(t, p)
	if got.active == 0 || got.active > 100 || got.untracked != uint64(n-got.active) {
		t.Fatalf("%+v", got)
	}
	for i := range uint64(n) {
		p.OnEnd(root(1, i+1, "a"))
	}
	expect(t, p, counts{started: n, ended: uint64(got.active), untracked: got.untracked})
	p.OnStart(t.Context(), root(1, 1, "a"))
	expect(t, p, counts{active: 1, started: n + 1, ended: uint64(got.active), untracked: got.untracked})
}

// TestCountsAreConsistentUnderConcurrency starts and ends spans on many goroutines while
// another observes. observe checks that the counts add up.
func TestCountsAreConsistentUnderConcurrency(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newTracer(t, p)
	const goroutines, perGoroutine = 8, 12_500
	var working atomic.Int64
	working.Store(goroutines)
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			defer working.Add(-1)
			var open [16]trace.Span
			for i := range perGoroutine {
				ctx, span := tracer.Start(context.Background(), "work")
				_, child := tracer.Start(ctx, "step")
				child.End()
				if old := open[i%len(open)]; old != nil {
					old.End()
				}
				open[i%len(open)] = span
			}
			for _, span := range open {
				span.End()
			}
		})
	}
	var last counts
	for working.Load() > 0 {
		c, _ := observe(t, p)
		if c.started < last.started || c.ended < last.ended || c.active > 2*goroutines*17 { // shards are read one after the other
			t.Errorf("%+v after %+v", c, last)
		}
		last = c
		runtime.Gosched()
	}
	wg.Wait()
	expect(t, p, counts{started: goroutines * perGoroutine, ended: goroutines * perGoroutine})
}
