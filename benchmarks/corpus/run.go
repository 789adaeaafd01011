// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// options are the options of a measurement.
type options struct {
	length time.Duration
	whole  bool // leaking programs run for all of length too
	jobs   int
	out    string
	kept   bool // the results are in out already
}

// run is a program, and its result once it has ended.
type run struct {
	entry
	result  kit.Result
	skipped string
	err     error
}

// measure runs the programs, several at a time.
func measure(ctx context.Context, chosen []entry, o options) ([]*run, error) {
	if o.out == "" {
		dir, err := os.MkdirTemp("", "gmpulse-corpus-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
		o.out = dir
	}
	if err := os.MkdirAll(o.out, 0o750); err != nil {
		return nil, err
	}
	var runs []*run
	queue := make(chan *run)
	var wg sync.WaitGroup
	for range o.jobs {
		wg.Go(func() {
			for r := range queue {
				r.do(ctx, o)
				j := judge(r)
				fmt.Fprintf(os.Stderr, "%-28s %s\n", r.Name, j.line())
			}
		})
	}
	for _, e := range chosen {
		r := &run{entry: e}
		runs = append(runs, r)
		queue <- r
	}
	close(queue)
	wg.Wait()
	return runs, ctx.Err()
}

// do runs the program in a child process.
func (r *run) do(ctx context.Context, o options) {
	if r.Skip != nil {
		if r.skipped = r.Skip(); r.skipped != "" {
			return
		}
	}
	if o.kept {
		r.result, r.err = load(o.out, r.Name)
		return
	}
	length := r.Length(o.length)
	if o.whole {
		length = o.length
	}
	r.result, r.err = child(ctx, r.Name, length, o.out)
}

// child runs a program in a process of its own for d. Its log is left in dir.
func child(ctx context.Context, name string, d time.Duration, dir string) (kit.Result, error) {
	self, err := os.Executable()
	if err != nil {
		return kit.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, d+time.Minute)
	defer cancel()
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return kit.Result{}, err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, self, "-for", d.String(), "-result", resultFile(dir, name), name)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return kit.Result{}, fmt.Errorf("%w: %s", err, lastLine(log.Name()))
	}
	return load(dir, name)
}

func resultFile(dir, name string) string { return filepath.Join(dir, name+".json") }

// load reads the result of a program.
func load(dir, name string) (kit.Result, error) {
	raw, err := os.ReadFile(resultFile(dir, name))
	if err != nil {
		return kit.Result{}, err
	}
	return kit.Decode(raw)
}

// lastLine returns the last line of a panic's message or of what the program said.
func lastLine(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return summary(string(raw))
}
