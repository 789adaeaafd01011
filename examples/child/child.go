// SPDX-License-Identifier: Apache-2.0

// Package child runs a program a second time as a child process. The examples and
// benchmarks start the servers that their service depends on in this way: a process
// that accepted the connections that it opens itself would not behave like a service.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Start runs the executable of the calling process again, with args and with env in
// addition to its environment. It returns when the child has printed as many words,
// such as addresses, as there are results.
//
// The child ends when the caller calls stop, which waits for that, or when the
// calling process ends. It must return from main when [ParentDone] is closed. When
// ctx is done, Start kills it.
func Start(ctx context.Context, env, args []string, results ...any) (stop func(), err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	stdin, errIn := cmd.StdinPipe()
	stdout, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = stdin.Close() // closes ParentDone in the child
		_ = cmd.Wait()
	}
	if _, err := fmt.Fscan(stdout, results...); err != nil {
		stop()
		return nil, fmt.Errorf("child process %v: %w", args, err)
	}
	return stop, nil
}

// ParentDone returns a channel that is closed when the process that started this one
// has called stop or has ended. It reads standard input, so a program calls it once.
func ParentDone() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, os.Stdin) // any error means that the parent is gone
	}()
	return done
}
