// SPDX-License-Identifier: Apache-2.0

// Explosion runs a service with a bug that multiplies goroutines, under load and with
// spans, and prints the verdict of gmpulse:
//
//	go run ./examples/explosion -kind=channel
//	go run ./examples/explosion -list
//
// The program ends with status 0 after the expected verdict, and with status 1 if the
// verdict is another one or does not come within -for (default 5 minutes). gmpulse
// reports a leak or hang after about 150 s, when recordings have shown that the
// goroutines neither run nor end. Before that, the output and the live page show the
// group as a burst or as growing.
//
// With -hold the program continues after the verdict, to give time for the live page.
// -kind=avalanche ignores -for and takes six minutes: the bug, then its fix under the
// same load.
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
	name := flag.String("kind", "", "the bug, see -list")
	list := flag.Bool("list", false, "list the kinds")
	length := flag.Duration("for", 5*time.Minute, "how long to wait for the verdict")
	hold := flag.Duration("hold", 0, "how long to continue after the verdict")
	servers := flag.String("peers", "", "internal: run the servers that this kind depends on")
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
		fmt.Fprintf(w, "  %-12s %s\n", k.name, k.description)
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

// run runs the service under load, waits for the verdict, and continues for hold.
func run(ctx context.Context, k kind, length, hold time.Duration) (right bool, err error) {
	provider := sdktrace.NewTracerProvider()
	otel.SetTracerProvider(provider)
	a, err := agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return false, err
	}
	defer func() {
		end, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second) // ctx may be done
		defer stop()
		err = errors.Join(err, a.Stop(end))
	}()
	ctx, cancel := context.WithTimeout(ctx, length+hold)
	defer cancel()
	fmt.Printf("%s: %s\npage     %sdebug/gmpulse/\nmetrics  %smetrics\n\n", k.name, k.description, a.URL(), a.URL())

	s, err := newService(ctx, &k)
	if err != nil {
		return false, err
	}
	defer s.peers.stop()
	go load(ctx, k.perSecond, func() { s.request(ctx, k.request) })
	waiting, cancelWait := context.WithTimeout(ctx, length)
	defer cancelWait()
	verdict, right := await(waiting, a, k)
	printVerdict(k, verdict, right)
	fmt.Println()
	printPage(a, verdict)
	if hold > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(hold):
		}
	}
	return right, nil
}

// await returns the expected verdict as soon as gmpulse reports it. When ctx is done
// it returns the worst verdict.
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
		if v, right := decisive(k, vs); v != nil {
			return v, right
		}
	}
}

// decisive returns the verdict that ends the wait: the expected one, or for a benign
// kind any leak or hang. It returns nil if there is none yet.
func decisive(k kind, vs []goroutines.Verdict) (v *goroutines.Verdict, right bool) {
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

// summary describes the worst verdict.
func summary(vs []goroutines.Verdict) string {
	if len(vs) == 0 {
		return "no verdict"
	}
	return fmt.Sprintf("%s: %d at %s", vs[0].Kind, vs[0].Count, where(&vs[0]))
}

// where returns the line of the application where the goroutines of a verdict wait, or
// the line in a library if the application's line is unknown.
func where(v *goroutines.Verdict) goroutines.Site {
	if v.Where == (goroutines.Site{}) {
		return v.Key.Site
	}
	return v.Where
}

// count returns the number of goroutines in the newest sample.
func count(a *agent.Agent) int {
	s := a.Snapshot()
	if s == nil {
		return 0
	}
	n, _ := s.Number("gmpulse.goroutine.user") // zero if absent
	return int(n)
}

// printVerdict prints a verdict, or the expected one if there is none.
func printVerdict(k kind, v *goroutines.Verdict, right bool) {
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

// printPage prints the address at which the live page shows the time of the verdict:
// the groups of goroutines that grew, where they wait, their spans and traces.
func printPage(a *agent.Agent, v *goroutines.Verdict) {
	moment := ""
	if v != nil {
		moment = fmt.Sprintf("#moment=%d-%d", v.Since.UnixMilli(), time.Now().UnixMilli())
	}
	fmt.Printf("look     %sdebug/gmpulse/%s\n", a.URL(), moment)
}

// expectation describes the expected verdict.
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
