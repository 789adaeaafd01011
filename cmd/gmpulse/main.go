// SPDX-License-Identifier: Apache-2.0

// Command gmpulse looks at what the agent has kept, in a terminal:
//
//	gmpulse inspect BUNDLE   what an incident was: verdicts, groups, spans, files
//	gmpulse trace FILE       where the time of OpenTelemetry spans went, in any
//	                         execution trace that go tool trace opens
//
// It exits with 0, with 1 when something could not be read, and with 2 when it was
// called in the wrong way.
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

inspect   says what a bundle of evidence is about; BUNDLE is its directory
trace     says where the time of OpenTelemetry spans went in an execution trace
-top N    how many groups, names and spans to list (default 10)
`

// errUsage is the error of a call that makes no sense.
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
		return fmt.Errorf("%w: %s wants one argument, and -top at least 1", errUsage, args[0])
	}
	p := printer{out: out, progress: diagnostics, top: *top}
	if err := f(ctx, p, flags.Arg(0)); err != nil {
		return err
	}
	return nil
}
