// SPDX-License-Identifier: Apache-2.0

package exectrace_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/trace"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/tracectx"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// traced returns the execution trace of a call of f.
func traced(t testing.TB, f func(oteltrace.Tracer), opts ...sdktrace.TracerProviderOption) []byte {
	t.Helper()
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		t.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(append(opts, sdktrace.WithSpanProcessor(p))...)
	defer provider.Shutdown(context.Background())
	var b bytes.Buffer
	if err := trace.Start(&b); err != nil {
		t.Fatal(err)
	}
	f(provider.Tracer("test"))
	trace.Stop()
	return b.Bytes()
}

func analyze(t testing.TB, recorded []byte) (*exectrace.Window, []*exectrace.Breakdown) {
	t.Helper()
	var spans []*exectrace.Breakdown
	w, err := exectrace.Analyze(t.Context(), bytes.NewReader(recorded), math.MaxInt, func(b *exectrace.Breakdown) { spans = append(spans, b) })
	if err != nil {
		t.Fatal(err)
	}
	return w, spans
}

// busy is how long the spans of waysToSpendTime run or wait.
const busy = 30 * time.Millisecond

func spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

func wakeLater(f func()) {
	go func() {
		time.Sleep(busy)
		f()
	}()
}

// waysToSpendTime returns functions that spend their time with one cause each.
func waysToSpendTime(t *testing.T) map[string]struct {
	want exectrace.Cause
	do   func()
} {
	t.Helper()
	var mu sync.Mutex
	var rw sync.RWMutex
	var once sync.Once
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return map[string]struct {
		want exectrace.Cause
		do   func()
	}{
		"running": {exectrace.Running, func() { spin(busy) }},
		"chan receive": {exectrace.ChanReceive, func() {
			c := make(chan int)
			wakeLater(func() { c <- 1 })
			<-c
		}},
		"chan send": {exectrace.ChanSend, func() {
			c := make(chan int)
			wakeLater(func() { <-c })
			c <- 1
		}},
		"select": {exectrace.Select, func() {
			select {
			case <-time.After(busy):
			case <-make(chan int):
			}
		}},
		"mutex": {exectrace.Mutex, func() {
			mu.Lock()
			wakeLater(mu.Unlock)
			mu.Lock()
			mu.Unlock() //nolint:staticcheck // the test is about the wait
		}},
		"rwmutex": {exectrace.RWMutex, func() {
			rw.Lock()
			wakeLater(rw.Unlock)
			rw.RLock()
			rw.RUnlock() //nolint:staticcheck // the test is about the wait
		}},
		"rwmutex writers": {exectrace.RWMutex, func() {
			rw.Lock()
			wakeLater(rw.Unlock)
			rw.Lock()
			rw.Unlock() //nolint:staticcheck // the test is about the wait
		}},
		"waitgroup": {exectrace.WaitGroup, func() {
			var wg sync.WaitGroup
			wg.Add(1)
			wakeLater(wg.Done)
			wg.Wait()
		}},
		"once": {exectrace.Once, func() {
			begun := make(chan struct{})
			go once.Do(func() { close(begun); time.Sleep(busy) })
			<-begun
			once.Do(func() {})
		}},
		"cond": {exectrace.Cond, func() {
			var m sync.Mutex
			c := sync.NewCond(&m)
			wakeLater(c.Broadcast)
			m.Lock()
			c.Wait()
			m.Unlock()
		}},
		"sleep": {exectrace.Sleep, func() { time.Sleep(busy) }},
		"network": {exectrace.Network, func() {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			peer, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			wakeLater(func() { peer.Close() })
			_, _ = c.Read(make([]byte, 1))
		}},
	}
}

func TestAnalyzeFindsCauses(t *testing.T) {
	ways := waysToSpendTime(t)
	_, spans := analyze(t, traced(t, func(tracer oteltrace.Tracer) {
		for name, way := range ways {
			_, span := tracer.Start(t.Context(), name)
			way.do()
			span.End()
		}
	}))
	if len(spans) != len(ways) {
		t.Fatalf("%d spans, want %d", len(spans), len(ways))
	}
	for _, s := range spans {
		want := ways[s.Name].want
		// On a busy machine the goroutine may wait for a P or lose its thread, so only
		// the waits are compared.
		most := want
		for c, d := range s.Self.All() {
			if c != exectrace.Running && c != exectrace.Runnable && d > s.Self.Of(most) {
				most = c
			}
		}
		if most != want || s.Self.Of(want) == 0 || s.Self.Sum() != s.Duration {
			t.Errorf("%s: %v of %v, want mostly %v: %v", s.Name, s.Self.Of(want), s.Duration, want, s.Self)
		}
		if !s.Root || s.TraceID == [16]byte{} || s.Open {
			t.Errorf("%s: root %v, trace %x, open %v", s.Name, s.Root, s.TraceID, s.Open)
		}
	}
}

func TestAnalyzeFindsWakers(t *testing.T) {
	var mu sync.Mutex
	_, spans := analyze(t, traced(t, func(tracer oteltrace.Tracer) {
		held, waiting := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, span := tracer.Start(t.Context(), "holder")
			defer span.End()
			mu.Lock()
			close(held)
			<-waiting
			time.Sleep(busy)
			mu.Unlock()
		})
		<-held
		_, span := tracer.Start(t.Context(), "waiter")
		close(waiting)
		mu.Lock()
		mu.Unlock() //nolint:staticcheck // the test is about the wait
		span.End()
		wg.Wait()
	}))
	for _, s := range spans {
		if s.Name != "waiter" {
			continue
		}
		if len(s.Wakers) == 0 {
			t.Fatal("no wakers")
		}
		w := s.Wakers[0]
		if w.Cause != exectrace.Mutex || w.Span != "holder" || !strings.Contains(w.Site, "exectrace_test.TestAnalyzeFindsWakers") || w.Time != s.Self.Of(exectrace.Mutex) {
			t.Errorf("woken by %+v, waited %v", w, s.Self.Of(exectrace.Mutex))
		}
	}
}

// Goroutines count for the span under which they were created, also indirectly, and for
// its parent after it has ended. Other goroutines count while they have a span below, or
// are attached. Nothing counts twice.
func TestOthersCountsGoroutinesOfASpan(t *testing.T) {
	jobs := make(chan func())
	var pool sync.WaitGroup
	pool.Go(func() {
		for job := range jobs {
			job()
		}
	})
	recorded := traced(t, func(tracer oteltrace.Tracer) {
		ctx, root := tracer.Start(t.Context(), "root")
		var wg sync.WaitGroup
		wg.Go(func() { wg.Go(func() { spin(busy) }) }) // created indirectly
		wg.Wait()

		_, child := tracer.Start(ctx, "starts work and ends")
		wg.Go(func() { spin(busy) })
		child.End()
		wg.Wait()

		done := make(chan struct{})
		jobs <- func() { // a worker that begins a span
			_, s := tracer.Start(ctx, "on a worker")
			spin(busy)
			s.End()
			close(done)
		}
		<-done
		done = make(chan struct{})
		jobs <- func() { // a worker that is attached
			detach := exectrace.Attach(ctx)
			spin(busy)
			detach()
			close(done)
		}
		<-done
		done = make(chan struct{})
		jobs <- func() { spin(busy); close(done) } // a worker that is neither
		<-done
		root.End()
	})
	close(jobs)
	pool.Wait()
	_, spans := analyze(t, recorded)
	byName := map[string]*exectrace.Breakdown{}
	for _, s := range spans {
		byName[s.Name] = s
		if s.Self.Sum() != s.Duration {
			t.Errorf("%s: parts add up to %v, want %v", s.Name, s.Self.Sum(), s.Duration)
		}
	}
	root := byName["root"]
	if root.Goroutines != 3 {
		t.Errorf("%d goroutines under the root, want 3", root.Goroutines)
	}
	if got := root.Others.Of(exectrace.Running) + root.Others.Of(exectrace.Runnable); got < 4*busy-busy/2 || got > root.Duration-busy/2 {
		t.Errorf("other goroutines ran %v for the root, want four times %v", got, busy)
	}
	if w := byName["on a worker"]; w.Root || w.Parent != root.Task || w.Self.Of(exectrace.Running) == 0 || w.TraceID != [16]byte{} {
		t.Errorf("on a worker: %+v", w)
	}
	if c := byName["starts work and ends"]; c.Others.Sum() > busy/2 {
		t.Errorf("%v of other goroutines for a span that had ended", c.Others.Sum())
	}
}

// The spans end after their goroutine, on another goroutine, never, or after their parent.
func TestSpansThatEndIrregularly(t *testing.T) {
	w, spans := analyze(t, traced(t, func(tracer oteltrace.Tracer) {
		var wg sync.WaitGroup
		var orphan oteltrace.Span
		wg.Go(func() { _, orphan = tracer.Start(t.Context(), "orphan") })
		wg.Wait()
		time.Sleep(busy)
		orphan.End()

		ctx, early := tracer.Start(t.Context(), "early")
		_, late := tracer.Start(ctx, "late")
		early.End()
		time.Sleep(busy)
		late.End()
		tracer.Start(t.Context(), "endless")
	}))
	if len(spans) != 4 || w.Spans != 3 || w.Open != 1 {
		t.Fatalf("%d spans, %d ended, %d open; want 4, 3, 1", len(spans), w.Spans, w.Open)
	}
	for _, s := range spans {
		if s.Self.Sum() != s.Duration {
			t.Errorf("%s: parts add up to %v, want %v", s.Name, s.Self.Sum(), s.Duration)
		}
		if s.Open != (s.Name == "endless") {
			t.Errorf("%s: open %v", s.Name, s.Open)
		}
		if s.Name == "orphan" && s.Self.Of(exectrace.Gone) < busy/2 {
			t.Errorf("orphan: goroutine gone for %v", s.Self.Of(exectrace.Gone))
		}
		if s.Name == "late" && s.Self.Of(exectrace.Sleep) < busy/2 {
			t.Errorf("late: slept %v", s.Self.Of(exectrace.Sleep))
		}
	}
}

func TestSpansThatBeganBeforeTheTraceAreCounted(t *testing.T) {
	hold(t) // so that the SDK creates a task for the span
	tracer := provider(t).Tracer("test")
	_, span := tracer.Start(t.Context(), "began before")
	var b bytes.Buffer
	if err := trace.Start(&b); err != nil {
		t.Fatal(err)
	}
	_, inside := tracer.Start(t.Context(), "inside")
	inside.End()
	span.End()
	trace.Stop()
	w, spans := analyze(t, b.Bytes())
	if w.Beginless != 1 || w.Spans != 1 || len(spans) != 1 || spans[0].Name != "inside" {
		t.Errorf("%d began before the trace, %d spans: %v", w.Beginless, w.Spans, spans)
	}
}

// A new generation of the trace, which begins every second, does not repeat the reason of
// a wait.
func TestWaitOverSeveralGenerations(t *testing.T) {
	f := trace.NewFlightRecorder(trace.FlightRecorderConfig{})
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	_, spans := analyze(t, traced(t, func(tracer oteltrace.Tracer) {
		c := make(chan int)
		go func() {
			for range 3 {
				time.Sleep(busy / 3)
				if _, err := f.WriteTo(io.Discard); err != nil {
					t.Error(err)
				}
			}
			c <- 1
		}()
		_, span := tracer.Start(t.Context(), "waits")
		<-c
		span.End()
	}))
	if len(spans) != 1 || spans[0].Self.Of(exectrace.ChanReceive) < busy || spans[0].Self.Of(exectrace.Other) != 0 || spans[0].Self.Sum() != spans[0].Duration {
		t.Fatalf("%v", spans[0])
	}
	if w := spans[0].Wakers; len(w) != 1 || w[0].Time != spans[0].Self.Of(exectrace.ChanReceive) {
		t.Errorf("woken by %+v", w)
	}
}

func TestAttachDoesNotAllocateWithoutATrace(t *testing.T) {
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { exectrace.Attach(ctx)() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPartsAddUpToTheDuration(t *testing.T) {
	ended := tracetest.NewSpanRecorder()
	recorded := traced(t, func(tracer oteltrace.Tracer) { serve(t, tracer, 400) }, sdktrace.WithSpanProcessor(ended))
	w, spans := analyze(t, recorded)
	if w.Spans < 2000 || w.Open != 0 || w.Beginless != 0 {
		t.Fatalf("%d spans, %d open, %d without a begin; want at least 2000, 0, 0", w.Spans, w.Open, w.Beginless)
	}
	bySpan := map[oteltrace.SpanID]*exectrace.Breakdown{}
	roots := 0
	for _, s := range spans {
		if s.Self.Sum() != s.Duration {
			t.Fatalf("%s: parts add up to %v, want %v: %v", s.Name, s.Self.Sum(), s.Duration, s.Self)
		}
		for c, d := range s.Self.All() {
			if d < 0 {
				t.Fatalf("%s: %v of %v", s.Name, d, c)
			}
		}
		for c, d := range s.Others.All() {
			if d < 0 {
				t.Fatalf("%s: %v of %v in other goroutines", s.Name, d, c)
			}
		}
		if s.Root {
			roots++
			bySpan[s.SpanID] = s
		}
	}
	checkAgainst(t, ended.Ended(), bySpan)
	checkWindow(t, w, roots)
}

// checkAgainst compares with what the SDK exported.
func checkAgainst(t *testing.T, ended []sdktrace.ReadOnlySpan, bySpan map[oteltrace.SpanID]*exectrace.Breakdown) {
	t.Helper()
	roots := 0
	for _, s := range ended {
		if s.Parent().IsValid() {
			continue
		}
		roots++
		b := bySpan[s.SpanContext().SpanID()]
		if b == nil || b.Name != s.Name() || b.TraceID != s.SpanContext().TraceID() {
			t.Fatalf("%s %v: found %+v", s.Name(), s.SpanContext().SpanID(), b)
		}
		if off := b.Start.Sub(s.StartTime()).Abs(); off > time.Second { // on a busy machine the goroutine may be preempted in between
			t.Errorf("%s: start differs by %v", s.Name(), off)
		}
	}
	if roots != len(bySpan) {
		t.Errorf("%d roots exported, %d in the trace", roots, len(bySpan))
	}
}

func checkWindow(t *testing.T, w *exectrace.Window, roots int) {
	t.Helper()
	if len(w.Busy) == 0 || len(w.Busy) > runtime.GOMAXPROCS(0) {
		t.Errorf("%d processors", len(w.Busy))
	}
	for id, busy := range w.Busy {
		if busy <= 0 || busy > w.Duration {
			t.Errorf("P%d was busy for %v of %v", id, busy, w.Duration)
		}
	}
	n := 0
	for _, r := range w.Roots {
		n += r.Spans
		if r.Self.Sum() != r.Duration || r.Longest > r.Duration {
			t.Errorf("%s: parts add up to %v, want %v; longest %v", r.Name, r.Self.Sum(), r.Duration, r.Longest)
		}
	}
	if n != roots {
		t.Errorf("%d roots by name, %d in all", n, roots)
	}
	if w.Waits == 0 || w.WaitP50 <= 0 || w.WaitP99 < w.WaitP50 {
		t.Errorf("%d waits, median %v, 99th percentile %v", w.Waits, w.WaitP50, w.WaitP99)
	}
	if w.QueueMax == 0 || w.QueueMean <= 0 || w.QueueMean > float64(w.QueueMax) {
		t.Errorf("run queue: mean %v, maximum %d", w.QueueMean, w.QueueMax)
	}
}

// serve handles requests of four kinds by an HTTP server over TCP, six spans each.
func serve(t testing.TB, tracer oteltrace.Tracer, requests int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	var mu sync.Mutex
	step := func(ctx context.Context, name string, f func()) {
		_, s := tracer.Start(ctx, name)
		defer s.End()
		f()
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx, root := tracer.Start(req.Context(), "GET "+req.URL.Path)
		defer root.End()
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() { step(ctx, fmt.Sprintf("part %d", i), func() { spin(20 * time.Microsecond) }) })
		}
		step(ctx, "lock", func() { mu.Lock(); spin(10 * time.Microsecond); mu.Unlock() })
		step(ctx, "file", func() { _ = os.WriteFile(file, make([]byte, 4096), 0o600) })
		wg.Wait()
		_, _ = io.WriteString(w, "ok")
	}))
	defer server.Close()
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Go(func() {
			for range requests / 4 {
				resp, err := server.Client().Get(fmt.Sprintf("%s/%d", server.URL, c))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	clients.Wait()
}

func BenchmarkAnalyze(b *testing.B) {
	recorded := traced(b, func(tracer oteltrace.Tracer) { serve(b, tracer, 2000) })
	w, _ := analyze(b, recorded)
	b.ReportAllocs()
	b.SetBytes(int64(len(recorded)))
	for b.Loop() {
		if _, err := exectrace.Analyze(b.Context(), bytes.NewReader(recorded), math.MaxInt, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(w.Events), "ns/event")
}
