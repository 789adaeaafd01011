// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	callsPerSecond = 3
	withBug        = 252 * time.Second // the leak is reported after about 150 s, the pool is exhausted after 233 s
	withFix        = 100 * time.Second // a leak would be shown as growing after 45 s
	measured       = 12 * time.Second  // at the end of each half
)

// outcome is one half of the comparison.
type outcome struct {
	p50, p99       time.Duration // of calls, with their retries, failed ones too
	answered       int
	calls          int
	tries          float64 // per call
	goroutines     int
	connections    int64
	verdict        *goroutines.Verdict // the leak; with the fix, whatever grows; nil: none
	verdictAfter   time.Duration
	firstFailAfter time.Duration
}

// compare runs the chain with its bug and without, under the same load.
func compare(ctx context.Context, k kind, _, hold time.Duration) (right bool, err error) {
	fmt.Printf("%s: %s\n\n", k.name, k.story)
	before, err := avalanche(ctx, k, false, 0)
	if err != nil {
		return false, err
	}
	report(k, before.verdict, before.verdict != nil)
	after, err := avalanche(ctx, k, true, hold)
	if err != nil {
		return false, err
	}
	table(before, after)
	right = before.verdict != nil && after.verdict == nil && after.answered > before.answered
	fmt.Printf("\nbefore   reported after %s; the first call failed after %s\n", seconds(before.verdictAfter), seconds(before.firstFailAfter))
	if after.verdict == nil {
		fmt.Println("after    nothing to report")
	} else {
		fmt.Printf("after    wrong: %s\n", after.verdict)
	}
	return right, nil
}

// avalanche drives one chain for the time of a half, with an agent of its own.
func avalanche(ctx context.Context, k kind, mended bool, hold time.Duration) (o outcome, err error) {
	provider := sdktrace.NewTracerProvider()
	otel.SetTracerProvider(provider)
	a, err := agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return o, err
	}
	defer func() {
		end, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer stop()
		err = errors.Join(err, a.Stop(end))
	}()
	c, err := newChain(ctx, provider.Tracer("explosion"), mended)
	if err != nil {
		return o, err
	}
	defer c.close()
	half, length := "before: the body is not closed, the request's context not passed on", withBug
	if mended {
		length = withFix
		half = "after: closed, read to its end, with the request's context and a timeout"
	}
	fmt.Printf("\n%s\npage     %sdebug/gmpulse/\n\n", half, a.URL())

	ctx, cancel := context.WithTimeout(ctx, length+hold)
	defer cancel()
	t := &tally{start: time.Now(), length: length}
	go load(ctx, k.perSecond, func() { t.call(ctx, c) })
	o.watch(ctx, a, k, c, length)
	t.sum(&o)
	o.goroutines, o.connections = count(a), c.open.Load()
	if hold > 0 {
		<-ctx.Done()
	}
	return o, nil
}

// watch prints a line every ten seconds for the time of a half, and notes the first
// right verdict, or for the mended chain the first group that leaks, hangs or grows.
func (o *outcome) watch(ctx context.Context, a *agent.Agent, k kind, c *chain, length time.Duration) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	start := time.Now()
	for n := 0; time.Since(start) < length; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if n%10 == 9 {
			fmt.Printf("%3.0f s  %5d goroutines  %4d connections  %5d attempts\n",
				time.Since(start).Seconds(), count(a), c.open.Load(), c.tries.Load())
		}
		for _, v := range a.Goroutines().Verdicts {
			wrong := c.mended && (v.Kind.Suspect() || v.Kind == goroutines.Growing)
			if o.verdict == nil && (wrong || k.matches(&v)) {
				o.verdict, o.verdictAfter = &v, time.Since(start)
				fmt.Printf("%3.0f s  %s\n", time.Since(start).Seconds(), v.String())
				look(a, &v)
			}
		}
	}
}

// tally is what became of the calls.
type tally struct {
	mu        sync.Mutex
	start     time.Time
	length    time.Duration // of the half
	firstFail time.Duration
	tries     int             // of calls that ended in the measured time
	took      []time.Duration // of calls that ended in the measured time
	answered  int
}

// call makes one call and notes how it went.
func (t *tally) call(ctx context.Context, c *chain) {
	began := time.Now()
	tries, err := c.call(ctx)
	now := time.Now()
	if ctx.Err() != nil {
		return // the show is over
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil && t.firstFail == 0 {
		t.firstFail = now.Sub(t.start)
	}
	if since := now.Sub(t.start); since < t.length-measured || since >= t.length {
		return
	}
	t.took = append(t.took, now.Sub(began))
	t.tries += tries
	if err == nil {
		t.answered++
	}
}

func (t *tally) sum(o *outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.Sort(t.took)
	o.calls, o.answered, o.firstFailAfter = len(t.took), t.answered, t.firstFail
	if n := len(t.took); n > 0 {
		o.tries = float64(t.tries) / float64(n)
		o.p50, o.p99 = t.took[n/2], t.took[min(n-1, n*99/100)]
	}
}

// table prints both halves side by side.
func table(before, after outcome) {
	row := func(name, format string, of func(outcome) any) {
		fmt.Printf("%-26s %12s %12s\n", name, fmt.Sprintf(format, of(before)), fmt.Sprintf(format, of(after)))
	}
	fmt.Printf("\n%-26s %12s %12s\n", fmt.Sprintf("last %.0f s, %d calls/s", measured.Seconds(), callsPerSecond), "before", "after")
	row("latency p50", "%v", func(o outcome) any { return o.p50.Round(time.Millisecond / 10) })
	row("latency p99", "%v", func(o outcome) any { return o.p99.Round(time.Millisecond / 10) })
	row("throughput, answers/s", "%.1f", func(o outcome) any { return float64(o.answered) / measured.Seconds() })
	row("errors", "%.1f %%", func(o outcome) any { return 100 * float64(o.calls-o.answered) / float64(max(o.calls, 1)) })
	row("attempts per call", "%.2f", func(o outcome) any { return o.tries })
	row("goroutines", "%d", func(o outcome) any { return o.goroutines })
	row("connections to upstream", "%d", func(o outcome) any { return o.connections })
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}
