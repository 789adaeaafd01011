// SPDX-License-Identifier: Apache-2.0

// Command gmpulse prints incident bundles of the agent, analyzes execution traces, and shows the
// state of running services:
//
//	gmpulse inspect BUNDLE          print the verdicts, goroutine groups, spans and files of a bundle
//	gmpulse trace FILE              print where the time of OpenTelemetry spans went, from any
//	                                execution trace that "go tool trace" opens
//	gmpulse top URL...              show services beside each other, from the APIs of their pages
//	gmpulse fleet -prometheus URL   print which versions of a service leak, from the metrics that
//	                                Prometheus has of all instances
//	gmpulse compare BEFORE AFTER    print what is faster, slower or noise in two recordings, bundles or
//	                                running services
//	gmpulse record URL              print the records of a running service, for compare
//
// The exit status is 0 on success, 1 if a file or server cannot be read, 2 for wrong usage, and 3
// if fleet -fail has found a leak. compare exits with 1 if -gate has found a regression, and with 2 if
// there is nothing to compare.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

const (
	statusOK = iota
	statusFailed
	statusUsage
	statusLeaks
)

const usage = `usage: gmpulse inspect [-top N] BUNDLE
       gmpulse trace [-top N] FILE
       gmpulse top [-token-file FILE] [-every 2s] [-once] URL...
       gmpulse fleet -prometheus URL [-service NAME] [-since 24h] [-top N] [-json] [-fail]
       gmpulse compare [-gate] [-margin 5%] [-warmup 30s] [-for 2m] [-top N] [-json] BEFORE AFTER
       gmpulse record [-for 2m] URL >FILE

inspect   print an incident bundle; BUNDLE is its directory
trace     print where the time of OpenTelemetry spans went in an execution trace
top       show running services beside each other; URL is the address of a page, such as
          localhost:9464 or https://shop.internal/debug/gmpulse/
fleet     print which versions of a service leak goroutines, from the metrics of all instances
compare   print what is faster, slower or noise; BEFORE and AFTER are files of exporters/jsonl or of record,
          incident bundles as a directory or zip, or addresses of pages that begin with http
record    print the records of a running service as JSON lines, for compare

-top N              list at most N groups, names, spans, versions or instances (default 10)
-token-file FILE    file with the token of the services, or for fleet of Prometheus
-every D            time between two readings (default 2s)
-once               print once; also if the output is not a terminal
-prometheus URL     address of Prometheus or of a server with its API
-service NAME       only the service with this service.name (default all)
-since D            how far back to look for the start of versions and leaks (default 24h)
-timeout D          time for all queries (default 30s)
-page TEMPLATE      address of the page of an instance (default http://{instance}/debug/gmpulse/)
-json               print JSON
-fail               exit with status 3 if a version leaks, for pipelines that deploy
-gate               exit with status 1 if something is worse by more than the margin, for pipelines
-margin M           change up to which nothing is a regression (default 5%)
-warmup D           time to leave out at the start of the process and of the load (default 30s)
-for D              how long to watch a page (default 2m)
`

// errUsage marks errors of the command line.
var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, out, diagnostics io.Writer) (status int) {
	err := command(ctx, args, out, diagnostics)
	switch {
	case err == nil:
		return statusOK
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage)
		return statusOK
	case errors.Is(err, errLeaks):
		return statusLeaks
	case errors.Is(err, errRegression):
		return statusFailed
	case errors.Is(err, errInput):
		fmt.Fprintf(diagnostics, "gmpulse: %s\n", plain(err.Error()))
		return statusUsage
	case errors.Is(err, errUsage):
		fmt.Fprintf(diagnostics, "gmpulse: %s\n\n%s", plain(err.Error()), usage)
		return statusUsage
	default:
		fmt.Fprintf(diagnostics, "gmpulse: %s\n", plain(err.Error()))
		return statusFailed
	}
}

// subcommand is one of the commands.
type subcommand struct {
	define      func(*flag.FlagSet)
	least, most int // number of arguments
	run         func(ctx context.Context, p printer, args []string) error
}

// subcommands returns all commands by name.
func subcommands() map[string]subcommand {
	var f fleetFlags
	var t topFlags
	var c compareFlags
	none := func(*flag.FlagSet) {}
	return map[string]subcommand{
		"inspect": {none, 1, 1, func(ctx context.Context, p printer, args []string) error { return inspect(ctx, p, args[0]) }},
		"trace":   {none, 1, 1, func(ctx context.Context, p printer, args []string) error { return traceFile(ctx, p, args[0]) }},
		"top":     {t.define, 1, maxPages, func(ctx context.Context, p printer, args []string) error { return top(ctx, &t, p, args) }},
		"fleet":   {f.define, 0, 0, func(ctx context.Context, p printer, _ []string) error { return fleet(ctx, &f, p) }},
		"compare": {c.define, 2, 2, func(ctx context.Context, p printer, args []string) error { return compareSides(ctx, &c, p, args) }},
		"record":  {c.defineWatch, 1, 1, func(ctx context.Context, p printer, args []string) error { return record(ctx, &c, p, args[0]) }},
	}
}

func command(ctx context.Context, args []string, out, diagnostics io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: no command", errUsage)
	}
	name := args[0]
	if slices.Contains([]string{"help", "-h", "-help", "--help"}, name) {
		return flag.ErrHelp
	}
	c, ok := subcommands()[name]
	if !ok {
		return fmt.Errorf("%w: unknown command %q", errUsage, name)
	}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	p := printer{out: out, progress: diagnostics}
	flags.IntVar(&p.top, "top", 10, "")
	c.define(flags)
	rest, err := parse(flags, args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errUsage, err)
	case len(rest) < c.least || len(rest) > c.most:
		return fmt.Errorf("%w: %s takes %s", errUsage, name, arguments(c.least, c.most))
	case p.top < 1:
		return fmt.Errorf("%w: -top must be positive", errUsage)
	}
	return c.run(ctx, p, rest)
}

// parse parses flags before, between and after the arguments, which it returns. After "--" there are no
// flags.
func parse(flags *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		left := flags.Args()
		if len(left) == 0 {
			return rest, nil
		}
		if at := len(args) - len(left); at > 0 && args[at-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

func arguments(least, most int) string {
	switch {
	case most == 0:
		return "no arguments"
	case most == 1:
		return "1 argument"
	case least == most:
		return fmt.Sprintf("%d arguments", least)
	default:
		return fmt.Sprintf("%d to %d arguments", least, most)
	}
}
