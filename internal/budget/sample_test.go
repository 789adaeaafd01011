// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// limit returns a function that reads all runtime metrics except the counters of
// GODEBUG settings. No sampler of these metrics can be faster.
func limit() func() {
	var samples []metrics.Sample
	for _, d := range metrics.All() {
		if !strings.HasPrefix(d.Name, "/godebug/") {
			samples = append(samples, metrics.Sample{Name: d.Name})
		}
	}
	return func() { metrics.Read(samples) }
}

func sample() func() {
	r := sampler.NewReader(sampler.Config{})
	return func() { r.Read(sampler.Tick{Time: time.Now()}) }
}

func pulse() func() {
	r := sampler.NewReader(sampler.Config{})
	return func() { r.Pulse(0) }
}

// sampleToLimit compares with a metrics.Read and the system call that returns the CPU time of the
// process, because its cost depends on the machine. It was 1.6 µs, a third of a sample, on one whose
// metrics.Read took no longer than on others.
func sampleToLimit(testing.TB) float64 {
	read := limit()
	return ratio(func() { read(); cputime.Process() }, sample())
}

func sampleAllocations(testing.TB) float64 { return allocations(sample()) }
func pulseToLimit(testing.TB) float64      { return ratio(limit(), pulse()) }
func pulseAllocations(testing.TB) float64  { return allocations(pulse()) }

func snapshotAllocations(testing.TB) float64 {
	r := sampler.NewReader(sampler.Config{})
	r.Read(sampler.Tick{Time: time.Now()})
	return allocations(func() { r.Snapshot() })
}

// sampleGrowth cannot measure its two cases in turn. It compares each with the same
// computation instead, which cancels a change of the processor's speed.
func sampleGrowth(testing.TB) float64 {
	few := sampleWith(50)
	return sampleWith(50_000) / few
}

func sampleWith(goroutines int) float64 {
	stop := make(chan struct{})
	var ready, done sync.WaitGroup
	ready.Add(goroutines)
	for range goroutines {
		done.Go(func() {
			ready.Done()
			<-stop
		})
	}
	ready.Wait()
	var x uint64
	steady := func() {
		for i := range uint64(2000) {
			x = x*6364136223846793005 + i
		}
	}
	r := ratio(steady, sample())
	close(stop)
	done.Wait()
	return r
}

func tickAllocations(tb testing.TB) float64 { tb.Helper(); return perTick(tb, mallocs) }

// tickGoroutines returns how many goroutines a tick starts. Each of them wakes a sleeping processor.
func tickGoroutines(tb testing.TB) float64 { tb.Helper(); return perTick(tb, goroutinesCreated) }

// perTick returns by how much a counter grows at a tick of an engine with an analyzer and an exporter: the
// mean over a hundred ticks in a synctest bubble, where no other goroutine runs.
func perTick(tb testing.TB, counter func() uint64) (mean float64) {
	tb.Helper()
	const ticks = 100
	synctest.Test(tb.(*testing.T), func(t *testing.T) {
		seen := 0
		e, err := engine.New(
			engine.WithLogger(slog.New(slog.DiscardHandler)),
			engine.WithHostInterval(time.Hour),
			engine.WithAnalyzer("history", tracectx.NewHistory(0)),
			engine.WithExporter("counting", exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { seen++; return nil }), engine.EveryTick()))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		before, seenBefore := counter(), seen
		time.Sleep(ticks * time.Second)
		synctest.Wait()
		after := counter()
		if seen-seenBefore != ticks {
			t.Errorf("%d ticks, want %d", seen-seenBefore, ticks)
		}
		mean = float64(after-before) / ticks
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return mean
}

func goroutinesCreated() uint64 {
	x := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	metrics.Read(x)
	return x[0].Value.Uint64()
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}
