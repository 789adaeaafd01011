// SPDX-License-Identifier: Apache-2.0

package exectrace_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"runtime/trace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// record returns a recording.
func record(t testing.TB, r *exectrace.Recorder, length time.Duration) *goroutines.Recording {
	t.Helper()
	recording, err := r.Record(t.Context(), length)
	if err != nil {
		t.Fatal(err)
	}
	return recording
}

// in returns the goroutines that have a function of this package in their stack.
func in(r *goroutines.Recording, function string) (found []goroutines.RecordedGoroutine) {
	for _, g := range r.Goroutines {
		if has(g.Stack, pkg+function) {
			found = append(found, g)
		}
	}
	return found
}

const pkg = "github.com/gmpulse/gmpulse/tracectx/exectrace_test."

func has(stack []goroutines.Site, function string) bool {
	for _, s := range stack {
		if s.Function == function {
			return true
		}
	}
	return false
}

// loops are goroutines that are woken every few milliseconds, each in another way.
type loops struct {
	ctx  context.Context
	wait sync.WaitGroup
}

const beat = 10 * time.Millisecond

//go:noinline
func sleeper(l *loops) {
	for l.ctx.Err() == nil {
		time.Sleep(beat)
	}
}

//go:noinline
func ticking(l *loops) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for range tick.C {
		if l.ctx.Err() != nil {
			return
		}
	}
}

//go:noinline
func selecting(l *loops) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			return
		}
	}
}

//go:noinline
func withDeadline(l *loops) {
	for l.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(l.ctx, beat)
		<-ctx.Done()
		cancel()
	}
}

//go:noinline
func consume(l *loops, c <-chan int) {
	for {
		select {
		case <-c:
		case <-l.ctx.Done():
			return
		}
	}
}

// byAfterFunc feeds c from functions of time.AfterFunc.
func byAfterFunc(l *loops, c chan<- int) {
	done := make(chan struct{})
	defer close(done)
	l.wait.Go(func() { <-done })
	var again func()
	again = func() {
		select {
		case c <- 1:
			time.AfterFunc(beat, again)
		case <-l.ctx.Done():
		}
	}
	again()
}

//go:noinline
func fedByAfterFunc(l *loops, c <-chan int) { consume(l, c) }

//go:noinline
func feed(l *loops, c chan<- int) {
	for {
		select {
		case c <- 1:
			time.Sleep(beat)
		case <-l.ctx.Done():
			return
		}
	}
}

//go:noinline
func fedByGoroutine(l *loops, c <-chan int) { consume(l, c) }

// hand holds a lock most of the time, so that locking waits for it.
//
//go:noinline
func hand(l *loops, mu *sync.Mutex) {
	for l.ctx.Err() == nil {
		mu.Lock()
		time.Sleep(beat)
		mu.Unlock()
	}
}

//go:noinline
func locking(l *loops, mu *sync.Mutex) {
	for l.ctx.Err() == nil {
		mu.Lock()
		mu.Unlock() //nolint:staticcheck // only to wait
	}
}

//go:noinline
func joining(l *loops) {
	for l.ctx.Err() == nil {
		var wg sync.WaitGroup
		wg.Go(func() { time.Sleep(beat) })
		wg.Wait()
	}
}

//go:noinline
func reading(c net.Conn) {
	var b [1]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return
		}
	}
}

//go:noinline
func writing(l *loops, c net.Conn) {
	for l.ctx.Err() == nil {
		if _, err := c.Write([]byte("x")); err != nil {
			return
		}
		time.Sleep(beat)
	}
}

// connected returns both ends of a connection of this host.
func connected(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return a, b
}

func startLoops(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &loops{ctx: ctx}
	timed, fed := make(chan int), make(chan int)
	var mu sync.Mutex
	a, b := connected(t)
	t.Cleanup(func() {
		cancel()
		a.Close()
		l.wait.Wait()
	})
	l.wait.Go(func() { sleeper(l) })
	l.wait.Go(func() { ticking(l) })
	l.wait.Go(func() { selecting(l) })
	l.wait.Go(func() { withDeadline(l) })
	l.wait.Go(func() { fedByAfterFunc(l, timed) })
	byAfterFunc(l, timed)
	l.wait.Go(func() { fedByGoroutine(l, fed) })
	l.wait.Go(func() { feed(l, fed) })
	l.wait.Go(func() { hand(l, &mu) })
	l.wait.Go(func() { locking(l, &mu) })
	l.wait.Go(func() { joining(l) })
	l.wait.Go(func() { reading(a) })
	l.wait.Go(func() { writing(l, b) })
}

// Record distinguishes the kinds of wakeups, also of goroutines that waited before the
// recording began. Goroutines that wait all the time do not run.
func TestRecordDistinguishesWakeups(t *testing.T) {
	defer startWaiting(t, 10)()
	startLoops(t)
	r := newRecorder(t, exectrace.Config{})
	testutil.Retry(t, func() error {
		recording := record(t, r, 400*time.Millisecond)
		for _, g := range in(recording, "deep") {
			if g.Ran || g.Created || g.Wakeup != goroutines.WakeupNone {
				t.Errorf("a goroutine that waits all the time: %+v", g)
			}
		}
		if n := len(in(recording, "deep")); n != 10 {
			return fmt.Errorf("%d goroutines in deep", n)
		}
		for function, want := range map[string]goroutines.Wakeup{
			"sleeper":        goroutines.WakeupTimer,
			"ticking":        goroutines.WakeupTimer,
			"selecting":      goroutines.WakeupTimer,
			"withDeadline":   goroutines.WakeupTimer,
			"fedByAfterFunc": goroutines.WakeupTimer,
			"fedByGoroutine": goroutines.WakeupGoroutine,
			"locking":        goroutines.WakeupGoroutine,
			"joining":        goroutines.WakeupGoroutine,
			"reading":        goroutines.WakeupNetwork,
		} {
			found := in(recording, function)
			if len(found) != 1 {
				return fmt.Errorf("%d goroutines in %s", len(found), function)
			}
			if g := found[0]; !g.Ran || g.Created || g.Wakeup != want {
				return fmt.Errorf("%s: ran %v, created %v, woken by %v, want %v", function, g.Ran, g.Created, g.Wakeup, want)
			}
		}
		return nil
	})
}

//go:noinline
func readOnce(c net.Conn, stop <-chan struct{}) {
	_, _ = c.Read(make([]byte, 1))
	<-stop
}

// The first wakeup depends on where the goroutine waited when the recording began, although
// it waits for something else afterwards.
func TestRecordKnowsEarlierWaits(t *testing.T) {
	r := newRecorder(t, exectrace.Config{})
	testutil.Retry(t, func() error {
		a, b := connected(t)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { readOnce(a, stop) })
		wg.Go(func() {
			untilTracing()
			_, _ = b.Write([]byte("x"))
		})
		time.Sleep(beat) // it begins to read
		found := in(record(t, r, 200*time.Millisecond), "readOnce")
		close(stop)
		wg.Wait()
		if len(found) != 1 || !found[0].Ran || found[0].Wakeup != goroutines.WakeupNetwork {
			return fmt.Errorf("%+v", found)
		}
		return nil
	})
}

// The garbage collector scans and shrinks the stacks of waiting goroutines. This does not
// count as running.
func TestRecordIgnoresTheCollector(t *testing.T) {
	defer startWaiting(t, 10)()
	r := newRecorder(t, exectrace.Config{})
	testutil.Retry(t, func() error {
		if n := len(in(record(t, r, 10*time.Millisecond), "deep")); n != 10 {
			return fmt.Errorf("%d goroutines in deep", n)
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			runtime.GC()
			time.Sleep(50 * time.Millisecond) // more collections would exceed the limit of a recording
		}
	})
	recording := record(t, r, 1200*time.Millisecond)
	cancel()
	wg.Wait()
	silent := in(recording, "deep")
	if len(silent) != 10 {
		t.Errorf("%d goroutines in deep", len(silent))
	}
	for _, g := range silent {
		if g.Ran {
			t.Errorf("a goroutine that waits all the time ran: %+v", g)
		}
	}
}

// fetch does not close the response body.
//
//go:noinline
func fetch(client *http.Client, url string) error {
	_, err := client.Get(url) //nolint:bodyclose // the bug
	return err
}

// A goroutine of net/http has the program's go statement in Creation, although its creator
// has ended.
func TestRecordFollowsCreators(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	client := server.Client()
	r := newRecorder(t, exectrace.Config{})
	testutil.Retry(t, func() error {
		var wg sync.WaitGroup
		wg.Go(func() {
			untilTracing()
			if err := fetch(client, server.URL); err != nil {
				t.Error(err)
			}
		})
		recording := record(t, r, 500*time.Millisecond)
		wg.Wait()
		return tracedBack(t, recording)
	})
}

// untilTracing waits for a recording to begin.
func untilTracing() {
	for !trace.IsEnabled() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(5 * beat) // Record lists the goroutines first
}

func tracedBack(t *testing.T, recording *goroutines.Recording) error {
	t.Helper()
	found := 0
	for _, g := range recording.Goroutines {
		if !has(g.Stack, "net/http.(*persistConn).readLoop") || !g.Created {
			continue
		}
		found++
		if g.Creator == 0 || len(g.Creation) > 128 || !has(g.Creation, "net/http.(*Transport).dialConnFor") || !has(g.Creation, pkg+"fetch") {
			t.Errorf("created by %d at %v", g.Creator, g.Creation)
		}
		for _, s := range g.Creation {
			if s.Function == pkg+"fetch" && (!strings.HasSuffix(s.File, "record_test.go") || s.Line == 0) {
				t.Errorf("at %+v", s)
			}
		}
		for _, c := range recording.Goroutines {
			if c.ID == g.Creator {
				t.Errorf("the creator has ended but is listed: %+v", c)
			}
		}
	}
	if found != 1 {
		return fmt.Errorf("%d new connections", found)
	}
	return nil
}

// spawn starts a chain of n goroutines, of which the last one waits.
//
//go:noinline
func spawn(n int, stop <-chan struct{}, wg *sync.WaitGroup) {
	if n == 0 {
		deep(0, stop)
		return
	}
	wg.Go(func() { spawn(n-1, stop, wg) })
}

func TestRecordBoundsCreation(t *testing.T) {
	r := newRecorder(t, exectrace.Config{})
	testutil.Retry(t, func() error {
		var wg sync.WaitGroup
		stop := make(chan struct{})
		defer wg.Wait()
		defer close(stop)
		wg.Go(func() {
			untilTracing()
			spawn(20, stop, &wg)
			time.AfterFunc(0, func() { deep(1, stop) })
		})
		return boundedCreation(t, record(t, r, 300*time.Millisecond))
	})
}

func boundedCreation(t *testing.T, recording *goroutines.Recording) error {
	t.Helper()
	var chained, timed int
	for _, g := range in(recording, "deep") {
		if !has(g.Stack, pkg+"spawn") {
			timed++
			if g.Creator != 0 || len(g.Creation) != 0 || !g.Created || g.Ran {
				t.Errorf("a goroutine that a timer created: %+v", g)
			}
			continue
		}
		chained++
		n := 0
		for _, s := range g.Creation {
			if s.Function == pkg+"spawn" {
				n++
			}
		}
		if n != 8 || !g.Created || g.Ran {
			t.Errorf("%d go statements, want 8: %+v", n, g)
		}
	}
	if chained != 1 || timed != 1 {
		return fmt.Errorf("%d in the chain, %d of the timer", chained, timed)
	}
	return nil
}

// Record reports start, length and cost. Goroutines with equal stacks share them.
func TestRecordReportsItsCost(t *testing.T) {
	defer startWaiting(t, 100)()
	r := newRecorder(t, exectrace.Config{})
	before := time.Now()
	recording := record(t, r, 300*time.Millisecond)
	if after := time.Now(); recording.Start.Before(before.Add(-time.Second)) || recording.Start.After(after) {
		t.Errorf("began at %v, not from %v to %v", recording.Start, before, after)
	}
	if recording.Duration < 300*time.Millisecond || recording.Events < len(recording.Goroutines) || recording.Bytes == 0 || recording.CPU <= 0 {
		t.Errorf("%v, %d events, %d bytes, %v", recording.Duration, recording.Events, recording.Bytes, recording.CPU)
	}
	stacks := map[*goroutines.Site]bool{}
	for i, g := range recording.Goroutines {
		if i > 0 && g.ID <= recording.Goroutines[i-1].ID {
			t.Errorf("goroutine %d after %d", g.ID, recording.Goroutines[i-1].ID)
		}
		if len(g.Stack) > 0 {
			stacks[&g.Stack[0]] = true
		}
		if has(g.Stack, "runtime.gcBgMarkWorker") || has(g.Stack, "runtime.bgsweep") || has(g.Stack, "runtime/trace.(*traceMultiplexer).startLocked.func1") {
			t.Errorf("a goroutine of the runtime: %+v", g)
		}
	}
	if len(stacks) > 60 {
		t.Errorf("%d stacks for %d goroutines", len(stacks), len(recording.Goroutines))
	}
	if s := r.Stats(); s != (exectrace.Stats{Recordings: 1}) {
		t.Errorf("stats %+v", s)
	}
	hold(t) // the flight recorder is free after Record
}

// A recording and a survey see the same goroutines in the same groups.
func TestRecordAgreesWithTheSurvey(t *testing.T) {
	defer startWaiting(t, 50)()
	r := newRecorder(t, exectrace.Config{})
	testutil.Retry(t, func() error {
		groups := map[goroutines.Key]int{}
		for _, g := range record(t, r, 50*time.Millisecond).Goroutines {
			if has(g.Stack, "github.com/gmpulse/gmpulse/tracectx/exectrace.(*Recorder).Record") {
				continue // it runs at the end of the recording
			}
			if k, ok := g.Key(); ok {
				groups[k]++
			}
		}
		survey, err := goroutines.TakeSurvey(t.Context(), goroutines.SurveyConfig{})
		if err != nil {
			t.Fatal(err)
		}
		return same(groups, survey, 7)
	})
}

// same returns an error if the groups of a recording and of a survey differ, except for
// running goroutines.
func same(recorded map[goroutines.Key]int, survey *goroutines.Survey, atLeast int) error {
	groups := 0
	for i := range survey.Groups {
		g := &survey.Groups[i]
		if g.Class == goroutines.Running {
			continue
		}
		groups++
		if recorded[g.Key] != g.Count {
			return fmt.Errorf("%d in the recording, %d in the survey: %v", recorded[g.Key], g.Count, g.Key)
		}
		delete(recorded, g.Key)
	}
	for k, n := range recorded {
		if k.Class != goroutines.Running {
			return fmt.Errorf("%d in the recording, none in the survey: %v", n, k)
		}
	}
	if groups < atLeast {
		return fmt.Errorf("only %d groups", groups)
	}
	return nil
}

func TestRecordErrorsAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		config exectrace.Config
		err    error
		stats  exectrace.Stats
	}{
		"goroutines": {exectrace.Config{MaxGoroutines: 1}, exectrace.ErrTooMany, exectrace.Stats{TooMany: 1}},
		"bytes":      {exectrace.Config{MaxBytes: 64}, exectrace.ErrTooMany, exectrace.Stats{TooMany: 1}},
		"events":     {exectrace.Config{MaxEvents: 3}, exectrace.ErrTooMany, exectrace.Stats{TooMany: 1}},
	} {
		r := newRecorder(t, c.config)
		if recording, err := r.Record(t.Context(), 10*time.Millisecond); !errors.Is(err, c.err) || recording != nil {
			t.Errorf("%s: %v, %v", name, recording, err)
		}
		if s := r.Stats(); s != c.stats {
			t.Errorf("%s: stats %+v", name, s)
		}
	}
	r := newRecorder(t, exectrace.Config{})
	if _, err := r.Record(t.Context(), 0); err == nil {
		t.Error("no error for length 0")
	}
	hold(t) // the flight recorder is free after a failure
	start := time.Now()
	if _, err := r.Record(t.Context(), time.Minute); !errors.Is(err, exectrace.ErrBusy) || r.Stats().Busy != 1 {
		t.Errorf("beside another recorder: %v, stats %+v", err, r.Stats())
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("ErrBusy took %v", d)
	}
}

func TestRecordEndsWithItsContext(t *testing.T) {
	r := newRecorder(t, exectrace.Config{})
	cause := errors.New("cause")
	for _, timeout := range []time.Duration{-1, 50 * time.Millisecond} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), timeout, cause)
		if _, err := r.Record(ctx, time.Hour); !errors.Is(err, cause) {
			t.Error(err)
		}
		cancel()
	}
	if s := r.Stats(); s != (exectrace.Stats{}) {
		t.Errorf("stats %+v", s)
	}
	hold(t)
}

func TestRecordBelowTheMemoryLimit(t *testing.T) {
	r := newRecorder(t, exectrace.Config{})
	limit := debug.SetMemoryLimit(1 << 20)
	_, err := r.Record(t.Context(), 10*time.Millisecond)
	debug.SetMemoryLimit(limit)
	if !errors.Is(err, exectrace.ErrTooMany) || r.Stats() != (exectrace.Stats{TooMany: 1}) {
		t.Errorf("%v, stats %+v", err, r.Stats())
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 40))
	record(t, r, 10*time.Millisecond)
}

func TestConcurrentRecordings(t *testing.T) {
	r := newRecorder(t, exectrace.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := r.Record(ctx, time.Hour); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	for range 5 {
		if err := r.WriteTrace(t.Context(), new(bytes.Buffer)); err != nil {
			t.Error(err)
		}
		if recording := record(t, r, 20*time.Millisecond); len(recording.Goroutines) == 0 {
			t.Error("no goroutines")
		}
	}
	cancel()
	wg.Wait()
	hold(t)
}

// Record and Run share one flight recorder.
func TestRecordDuringRun(t *testing.T) {
	for _, mode := range []exectrace.Mode{exectrace.DutyCycle, exectrace.Always} {
		t.Run(fmt.Sprintf("mode=%d", mode), func(t *testing.T) {
			r := running(t, exectrace.Config{Mode: mode, Every: 300 * time.Millisecond, For: 100 * time.Millisecond, MaxShare: 1e6})
			tracer := provider(t).Tracer("test")
			windows := map[*exectrace.Window]bool{}
			testutil.Retry(t, func() error {
				spansFor(t, tracer, 20*time.Millisecond)
				recording := record(t, r, 250*time.Millisecond)
				if recording.Duration < 250*time.Millisecond || len(recording.Goroutines) == 0 {
					t.Errorf("%v, %d goroutines", recording.Duration, len(recording.Goroutines))
				}
				if w := r.Window(); w != nil {
					windows[w] = true
				}
				if len(windows) < 3 {
					return fmt.Errorf("%d windows", len(windows))
				}
				return nil
			})
			if s := r.Stats(); s.StepsBack+s.Busy+s.TooMany+s.Unreadable != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
	hold(t)
}

// Record does not affect a trace that the application makes.
func TestRecordDuringTraceStart(t *testing.T) {
	var own bytes.Buffer
	if err := trace.Start(&own); err != nil {
		t.Fatal(err)
	}
	_, task := trace.NewTask(t.Context(), "before and after")
	r := newRecorder(t, exectrace.Config{})
	for range 2 {
		if recording := record(t, r, 50*time.Millisecond); len(recording.Goroutines) == 0 || recording.Duration < 50*time.Millisecond {
			t.Errorf("%d goroutines in %v", len(recording.Goroutines), recording.Duration)
		}
	}
	if !trace.IsEnabled() {
		t.Error("the application's trace was stopped")
	}
	task.End()
	trace.Stop()
	var spans int
	w, err := exectrace.Analyze(t.Context(), &own, math.MaxInt, func(*exectrace.Breakdown) { spans++ })
	if err != nil || w.Duration < 100*time.Millisecond || spans == 0 && w.Spans == 0 {
		t.Errorf("the trace: %+v, %v", w, err)
	}
	hold(t)
}
