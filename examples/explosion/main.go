// SPDX-License-Identifier: Apache-2.0

// Explosion runs one kind of goroutine explosion under load, inside spans, and
// prints what gmpulse says of it:
//
//	go run ./examples/explosion -kind=channel
//	go run ./examples/explosion -list
//
// It ends when the verdict is there, with status 0 if it is the right one, or
// after -for (default 5 minutes), with status 1. A leak or hang is reported after
// about 150 s: gmpulse has then seen in recordings that the goroutines neither run
// nor end. Before that, the output and the live page show the group as a burst or as
// growing.
//
// With -hold the program goes on for a while after the verdict, so that the live page
// can be looked at. -kind=avalanche takes six minutes, whatever -for says: the bug, then its
// fix under the same load.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

func main() {
	name := flag.String("kind", "", "which explosion, see -list")
	list := flag.Bool("list", false, "list the kinds")
	length := flag.Duration("for", 5*time.Minute, "give up after this time")
	hold := flag.Duration("hold", 0, "go on for this time after the verdict")
	servers := flag.String("peers", "", "be the servers that this kind depends on; the program runs itself so")
	flag.Parse()
	if *list {
		describe(os.Stdout)
		return
	}
	if k, ok := find(*servers); ok {
		if err := servePeers(context.Background(), &k); err != nil {
			slog.Error("explosion: peers", slog.Any("error", err))
			os.Exit(1)
		}
		return
	}
	k, ok := find(*name)
	if !ok || flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "there is no kind %q; the kinds are:\n\n", *name)
		describe(os.Stderr)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	right, err := k.run(ctx, k, *length, *hold)
	stop()
	if err != nil {
		slog.Error("explosion", slog.Any("error", err))
		os.Exit(1)
	}
	if !right {
		os.Exit(1)
	}
}

// describe lists the kinds.
func describe(w *os.File) {
	for _, k := range kinds() {
		fmt.Fprintf(w, "  %-12s %s\n", k.name, k.story)
	}
}

func find(name string) (kind, bool) {
	for _, k := range kinds() {
		if k.name == name {
			return k, true
		}
	}
	return kind{}, false
}

// run lets a kind loose, waits for the verdict, and goes on for the time of hold.
func run(ctx context.Context, k kind, length, hold time.Duration) (right bool, err error) {
	provider := sdktrace.NewTracerProvider()
	otel.SetTracerProvider(provider)
	a, err := agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return false, err
	}
	defer func() {
		end, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second) // ctx is done by then
		defer stop()
		err = errors.Join(err, a.Stop(end))
	}()
	ctx, cancel := context.WithTimeout(ctx, length+hold)
	defer cancel()
	fmt.Printf("%s: %s\npage     %sdebug/gmpulse/\nmetrics  %smetrics\n\n", k.name, k.story, a.URL(), a.URL())

	w, err := newWorld(ctx, &k)
	if err != nil {
		return false, err
	}
	defer w.peers.end()
	go load(ctx, k.perSecond, func() { w.request(ctx, k.request) })
	waiting, enough := context.WithTimeout(ctx, length)
	defer enough()
	verdict, right := await(waiting, a, k)
	report(k, verdict, right)
	fmt.Println()
	look(a, verdict)
	if hold > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(hold):
		}
	}
	return right, nil
}

// await returns the verdict that the kind is meant to get as soon as it stands,
// or the worst one at the end.
func await(ctx context.Context, a *agent.Agent, k kind) (*goroutines.Verdict, bool) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	start := time.Now()
	for {
		select {
		case <-ctx.Done():
			if vs := a.Goroutines().Verdicts; len(vs) > 0 {
				return &vs[0], k.benign() && !vs[0].Kind.Suspect()
			}
			return nil, k.benign()
		case <-ticker.C:
		}
		vs := a.Goroutines().Verdicts
		fmt.Printf("%3.0f s  %5d goroutines  %s\n", time.Since(start).Seconds(), count(a), summary(vs))
		if v, right := settles(k, vs); v != nil {
			return v, right
		}
	}
}

// settles returns the verdict that ends the wait: the right one, or for a benign
// kind a wrong one.
func settles(k kind, vs []goroutines.Verdict) (v *goroutines.Verdict, right bool) {
	for i := range vs {
		if k.benign() && vs[i].Kind.Suspect() {
			return &vs[i], false
		}
		if !k.benign() && k.matches(&vs[i]) {
			return &vs[i], true
		}
	}
	return nil, false
}

// summary names the worst verdict.
func summary(vs []goroutines.Verdict) string {
	if len(vs) == 0 {
		return "no verdict"
	}
	return fmt.Sprintf("%s: %d at %s", vs[0].Kind, vs[0].Count, where(&vs[0]))
}

// where is the line to look at.
func where(v *goroutines.Verdict) goroutines.Site {
	if v.Where == (goroutines.Site{}) {
		return v.Key.Site
	}
	return v.Where
}

// count is the number of goroutines in the newest sample.
func count(a *agent.Agent) int {
	s := a.Snapshot()
	if s == nil {
		return 0
	}
	n, _ := s.Number("gmpulse.goroutine.user") // absent reads as zero
	return int(n)
}

// report prints the verdict.
func report(k kind, v *goroutines.Verdict, right bool) {
	fmt.Println()
	if v == nil {
		fmt.Printf("verdict  none; expected %s\n", k.expectation())
		return
	}
	fmt.Printf("verdict  %s\n", v.Kind)
	fmt.Printf("what     %d goroutines in %s, %.0f more a minute\n", v.Count, v.Key.Class, v.PerMinute)
	fmt.Printf("where    %s\n", where(v))
	if where(v) != v.Key.Site {
		fmt.Printf("waits    %s\n", v.Key.Site)
	}
	if v.Creation != (goroutines.Site{}) && v.Creation != where(v) {
		fmt.Printf("created  %s\n", v.Creation)
	}
	for _, r := range v.Roots {
		fmt.Printf("under    %s (%d)", r.Name, r.Count)
		for i := range r.Examples {
			fmt.Printf("  trace %s", r.Examples[i].TraceIDString())
		}
		fmt.Println()
	}
	fmt.Printf("why      %s\n", v.Evidence)
	if v.Hint != "" {
		fmt.Printf("hint     %s\n", v.Hint)
	}
	if !right {
		fmt.Printf("\nexpected %s\n", k.expectation())
	}
}

// look prints where the page shows the verdict: the moment, selected, with the
// groups of goroutines that grew, their places, spans and traces.
func look(a *agent.Agent, v *goroutines.Verdict) {
	moment := ""
	if v != nil {
		moment = fmt.Sprintf("#moment=%d-%d", v.Since.UnixMilli(), time.Now().UnixMilli())
	}
	fmt.Printf("look     %sdebug/gmpulse/%s\n", a.URL(), moment)
}

// expectation says in words what the verdict should be.
func (k *kind) expectation() string {
	if k.benign() {
		return "no leak and nothing stuck"
	}
	var all []string
	for _, v := range k.verdicts {
		all = append(all, string(v))
	}
	under := "no span"
	if k.root != "" {
		under = k.root
	}
	return strings.Join(all, " or ") + " in " + k.where + ", created under " + under
}
