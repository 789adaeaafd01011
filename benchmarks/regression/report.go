// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// report is what the benchmark reads of the JSON of "gmpulse compare -gate -json".
type report struct {
	Rows []struct {
		Root              string `json:"root_span"`
		Quantity          string
		Change, Low, High *float64
		Result            string
	}
	Warnings []string
	failed   bool // exit status 1
	cpu      bool // the CPU per request is a regression
}

// reportOf runs gmpulse compare.
func reportOf(ctx context.Context, command string, args []string) (r report, err error) {
	out, err := exec.CommandContext(ctx, command, append(args, "-json")...).Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 1 && len(out) > 0:
		r.failed = true
	case errors.As(err, &exit):
		return r, fmt.Errorf("%w: %s", err, exit.Stderr)
	case err != nil:
		return r, err
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, err
	}
	for _, x := range r.Rows {
		r.cpu = r.cpu || x.Quantity == "CPU per request" && x.Result == "regression"
	}
	return r, nil
}

// String is the result in one line.
func (r report) String() string {
	var regressions []string
	text := "CPU per request unknown"
	for _, x := range r.Rows {
		if x.Quantity == "CPU per request" && x.Change != nil {
			text = fmt.Sprintf("CPU per request %+.1f %% (%+.1f to %+.1f), %s", 100**x.Change, 100**x.Low, 100**x.High, x.Result)
		} else if x.Result == "regression" {
			regressions = append(regressions, strings.TrimSpace(x.Root+" "+x.Quantity))
		}
	}
	if len(regressions) > 0 {
		text += "; also " + strings.Join(regressions, ", ")
	}
	if len(r.Warnings) > 0 {
		text += "; warnings: " + strings.Join(r.Warnings, "; ")
	}
	return text
}

// wait waits for a command and adds its messages to an error.
func wait(cmd *exec.Cmd, diagnostics io.Reader) error {
	text, _ := io.ReadAll(diagnostics) // ends with the command
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%v: %w: %s", cmd.Args, err, text)
	}
	return nil
}
