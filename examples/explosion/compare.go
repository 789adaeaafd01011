// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters/jsonl"
	"github.com/gmpulse/gmpulse/internal/compare"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	callsPerSecond = 3
	bugDuration    = 252 * time.Second // the leak is reported after about 150 s, the pool is exhausted after 233 s
	fixDuration    = 100 * time.Second // a leak would be reported as growing after 45 s
	measuredTime   = 12 * time.Second  // at the end of each part
)

// outcome is the result of one part of the comparison: with the bug, or fixed.
type outcome struct {
	p50, p99       time.Duration // of a call including its retries, whether it failed or not
	answered       int
	calls          int
	attempts       float64 // per call
	goroutines     int
	connections    int64
	verdict        *goroutines.Verdict // the leak; in the fixed service any leaking, stuck or growing group; nil for none
	verdictAfter   time.Duration
	unclosedAfter  time.Duration // when unclosed bodies were reported; 0 for never
	firstFailAfter time.Duration
}

// compareParts runs the chain with its bug and then fixed, under the same load.
func compareParts(ctx context.Context, k kind, _, hold time.Duration) (right bool, err error) {
	fmt.Printf("%s: %s\n\n", k.name, k.description)
	dir, err := os.MkdirTemp("", "gmpulse-avalanche-")
	if err != nil {
		return false, err
	}
	recordings := [2]string{filepath.Join(dir, "before.jsonl"), filepath.Join(dir, "after.jsonl")}
	before, err := avalanche(ctx, k, recordings[0], false, 0)
	if err != nil {
		return false, err
	}
	printVerdict(k, before.verdict, before.verdict != nil)
	after, err := avalanche(ctx, k, recordings[1], true, hold)
	if err != nil {
		return false, err
	}
	printTable(before, after)
	right = before.verdict != nil && after.verdict == nil && before.unclosedAfter > 0 && after.unclosedAfter == 0 && after.answered > before.answered
	fmt.Printf("\nbefore   unclosed bodies reported after %s, leaking goroutines after %s; the first call failed after %s\n",
		seconds(before.unclosedAfter), seconds(before.verdictAfter), seconds(before.firstFailAfter))
	if after.verdict == nil {
		fmt.Println("after    nothing to report")
	} else {
		fmt.Printf("after    wrong verdict: %s\n", after.verdict)
	}
	return right, printComparison(recordings)
}

// printComparison prints what "gmpulse compare" prints of the recordings of both parts.
func printComparison(recordings [2]string) error {
	fmt.Printf("\n$ go run ./cmd/gmpulse compare %s %s\n\n", recordings[0], recordings[1])
	before, err1 := compare.Open(recordings[0])
	after, err2 := compare.Open(recordings[1])
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	r, err := compare.Compare(before, after, compare.Config{Margin: 0.05, Warmup: 30 * time.Second, Roots: 10})
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(slices.Concat(r.Sentences(), r.Warnings), "\n"))
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, t := range r.Tables() {
		fmt.Fprintf(w, "\n%s\n", cmp.Or(t.Title, "PROCESS"))
		for _, cells := range t.Rows {
			fmt.Fprintln(w, "  "+strings.Join(cells, "\t"))
		}
	}
	fmt.Fprintf(w, "\n%s\n", r.Summary())
	return w.Flush()
}

// avalanche runs one part of the comparison, with an agent of its own that records it to a file.
func avalanche(ctx context.Context, k kind, recording string, fixed bool, hold time.Duration) (o outcome, err error) {
	provider := sdktrace.NewTracerProvider()
	otel.SetTracerProvider(provider)
	e, err := jsonl.New(jsonl.Config{Path: recording, Full: true})
	if err != nil {
		return o, err
	}
	a, err := agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithLogger(slog.New(slog.DiscardHandler)),
		agent.WithExporter("recording", e, engine.EveryTick()))
	if err != nil {
		return o, err
	}
	defer func() {
		end, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer stop()
		err = errors.Join(err, a.Stop(end))
	}()
	c, err := newChain(ctx, provider.Tracer("explosion"), fixed, a.Transport)
	if err != nil {
		return o, err
	}
	defer c.close()
	part, length := "before: the body is not closed, the request's context not passed on", bugDuration
	if fixed {
		part, length = "after: the body is read to its end and closed; the request's context is passed on, with a timeout", fixDuration
	}
	fmt.Printf("\n%s\npage     %sdebug/gmpulse/\n\n", part, a.URL())

	ctx, cancel := context.WithTimeout(ctx, length+hold)
	defer cancel()
	s := &callStats{start: time.Now(), length: length}
	go load(ctx, k.perSecond, func() { s.call(ctx, c) })
	o.watch(ctx, a, k, c, length)
	s.summarize(&o)
	o.goroutines, o.connections = count(a), c.open.Load()
	if hold > 0 {
		<-ctx.Done()
	}
	return o, nil
}

// watch prints a line every ten seconds until length has passed. It records the first
// expected verdict, or for the fixed chain the first verdict of a leaking, stuck or
// growing group.
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
				time.Since(start).Seconds(), count(a), c.open.Load(), c.attempts.Load())
		}
		if i := unclosed(a); o.unclosedAfter == 0 && i != nil {
			o.unclosedAfter = time.Since(start)
			fmt.Printf("%3.0f s  %.0f response bodies are not closed at %s, under %s: %s\n", o.unclosedAfter.Seconds(), i.Size, i.Site, i.Root, i.Evidence)
		}
		if o.verdict != nil {
			continue
		}
		if o.verdict = expected(a, k, c); o.verdict != nil {
			o.verdictAfter = time.Since(start)
			fmt.Printf("%3.0f s  %s\n", o.verdictAfter.Seconds(), o.verdict.String())
			printPage(a, o.verdict)
		}
	}
}

// expected returns the verdict that watch looks for, or nil.
func expected(a *agent.Agent, k kind, c *chain) *goroutines.Verdict {
	for _, v := range a.Goroutines().Verdicts {
		if wrong := c.fixed && (v.Kind.Suspect() || v.Kind == goroutines.Growing); wrong || k.matches(&v) {
			return &v
		}
	}
	return nil
}

// unclosed returns the open incident of response bodies that are not closed, or nil.
func unclosed(a *agent.Agent) *runtimeinfo.Incident {
	s := a.Snapshot()
	if s == nil {
		return nil
	}
	if i := slices.IndexFunc(s.Incidents, func(i *runtimeinfo.Incident) bool { return i.Kind == "unclosed" }); i >= 0 {
		return s.Incidents[i]
	}
	return nil
}

// callStats counts calls. Except for firstFail it counts those that end in the last
// measuredTime of the part.
type callStats struct {
	mu        sync.Mutex
	start     time.Time
	length    time.Duration // of the part
	firstFail time.Duration
	attempts  int
	took      []time.Duration
	answered  int
}

// call makes one call and records its result.
func (s *callStats) call(ctx context.Context, c *chain) {
	began := time.Now()
	attempts, err := c.call(ctx)
	now := time.Now()
	if ctx.Err() != nil {
		return // the part is over
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.firstFail == 0 {
		s.firstFail = now.Sub(s.start)
	}
	if since := now.Sub(s.start); since < s.length-measuredTime || since >= s.length {
		return
	}
	s.took = append(s.took, now.Sub(began))
	s.attempts += attempts
	if err == nil {
		s.answered++
	}
}

func (s *callStats) summarize(o *outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.took)
	o.calls, o.answered, o.firstFailAfter = len(s.took), s.answered, s.firstFail
	if n := len(s.took); n > 0 {
		o.attempts = float64(s.attempts) / float64(n)
		o.p50, o.p99 = s.took[n/2], s.took[min(n-1, n*99/100)]
	}
}

// printTable prints the results of both parts in two columns.
func printTable(before, after outcome) {
	row := func(name, format string, of func(outcome) any) {
		fmt.Printf("%-26s %12s %12s\n", name, fmt.Sprintf(format, of(before)), fmt.Sprintf(format, of(after)))
	}
	fmt.Printf("\n%-26s %12s %12s\n", fmt.Sprintf("last %.0f s, %d calls/s", measuredTime.Seconds(), callsPerSecond), "before", "after")
	row("latency p50", "%v", func(o outcome) any { return o.p50.Round(time.Millisecond / 10) })
	row("latency p99", "%v", func(o outcome) any { return o.p99.Round(time.Millisecond / 10) })
	row("throughput, answers/s", "%.1f", func(o outcome) any { return float64(o.answered) / measuredTime.Seconds() })
	row("errors", "%.1f %%", func(o outcome) any { return 100 * float64(o.calls-o.answered) / float64(max(o.calls, 1)) })
	row("attempts per call", "%.2f", func(o outcome) any { return o.attempts })
	row("goroutines", "%d", func(o outcome) any { return o.goroutines })
	row("connections to upstream", "%d", func(o outcome) any { return o.connections })
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}
