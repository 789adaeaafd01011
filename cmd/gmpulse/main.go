// SPDX-License-Identifier: Apache-2.0

// Command gmpulse prints incident bundles of the agent, and analyzes execution traces:
//
//	gmpulse inspect BUNDLE   print the verdicts, goroutine groups, spans and files of a bundle
//	gmpulse trace FILE       print where the time of OpenTelemetry spans went, from any
//	                         execution trace that "go tool trace" opens
//
// The exit status is 0 on success, 1 if a file cannot be read, and 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
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
)

const usage = `usage: gmpulse inspect [-top N] BUNDLE
       gmpulse trace [-top N] FILE

inspect   print an incident bundle; BUNDLE is its directory
trace     print where the time of OpenTelemetry spans went in an execution trace
-top N    list at most N groups, names and spans (default 10)
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
	case errors.Is(err, errUsage):
		fmt.Fprintf(diagnostics, "gmpulse: %s\n\n%s", plain(err.Error()), usage)
		return statusUsage
	default:
		fmt.Fprintf(diagnostics, "gmpulse: %s\n", plain(err.Error()))
		return statusFailed
	}
}

func command(ctx context.Context, args []string, out, diagnostics io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: no command", errUsage)
	}
	commands := map[string]func(context.Context, printer, string) error{"inspect": inspect, "trace": traceFile}
	if args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		return flag.ErrHelp
	}
	f := commands[args[0]]
	if f == nil {
		return fmt.Errorf("%w: unknown command %q", errUsage, args[0])
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	top := flags.Int("top", 10, "")
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errUsage, err)
	case flags.NArg() != 1 || *top < 1:
		return fmt.Errorf("%w: %s needs one argument, and -top a positive number", errUsage, args[0])
	}
	p := printer{out: out, progress: diagnostics, top: *top}
	return f(ctx, p, flags.Arg(0))
}
