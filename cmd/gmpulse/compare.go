// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/internal/compare"
)

// compareFlags are the flags of the commands compare and record.
type compareFlags struct {
	topFlags
	gate, json bool
	margin     margin
	warmup     time.Duration
	length     time.Duration
}

func (f *compareFlags) defineWatch(flags *flag.FlagSet) {
	flags.StringVar(&f.tokenFile, "token-file", "", "")
	flags.DurationVar(&f.length, "for", 2*time.Minute, "")
}

func (f *compareFlags) define(flags *flag.FlagSet) {
	f.defineWatch(flags)
	f.margin = 0.05
	flags.BoolVar(&f.gate, "gate", false, "")
	flags.BoolVar(&f.json, "json", false, "")
	flags.Var(&f.margin, "margin", "")
	flags.DurationVar(&f.warmup, "warmup", 30*time.Second, "")
}

// margin is a flag such as 5% or 0.05.
type margin float64

// String returns the margin in percent.
func (m *margin) String() string { return fmt.Sprintf("%g%%", 100*float64(*m)) }

// Set parses a margin.
func (m *margin) Set(text string) error {
	digits, isPercent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if isPercent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v < 1) { // v may be NaN
		return errors.New("want a percentage such as 5%")
	}
	*m = margin(v)
	return nil
}

var (
	// errRegression is the error of -gate.
	errRegression = errors.New("a regression")
	// errInput marks errors of what there is to compare.
	errInput = errors.New("nothing to compare")
)

// compareSides compares two recordings and prints the result.
func compareSides(ctx context.Context, f *compareFlags, p printer, sources []string) error {
	if f.length < 2*time.Second || f.warmup < 0 {
		return fmt.Errorf("%w: -for must be at least 2s and -warmup not negative", errUsage)
	}
	sides, err := f.read(ctx, p, sources)
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	report, err := compare.Compare(sides[0], sides[1], compare.Config{Margin: float64(f.margin), Warmup: f.warmup, Roots: p.top})
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	if f.json {
		err = printJSON(p, report)
	} else {
		printReport(p, report)
	}
	if err == nil && f.gate && len(report.Regressions()) > 0 {
		return errRegression
	}
	return err
}

// read reads both sides. Pages are watched at the same time.
func (f *compareFlags) read(ctx context.Context, p printer, sources []string) ([]*compare.Recording, error) {
	sides, errs := make([]*compare.Recording, len(sources)), make([]error, len(sources))
	var wg sync.WaitGroup
	for i, source := range sources {
		if !isAddress(source) {
			if sides[i], errs[i] = compare.Open(source); errs[i] != nil {
				return nil, errs[i] // before a page is watched for minutes
			}
		}
	}
	for i, source := range sources {
		if isAddress(source) {
			f.announce(p, source)
			wg.Go(func() {
				sides[i] = &compare.Recording{Source: source}
				errs[i] = f.watch(ctx, source, func(r map[string]any) error {
					sides[i].Add(r)
					return nil
				})
			})
		}
	}
	wg.Wait()
	return sides, errors.Join(errs...)
}

func isAddress(source string) bool {
	return strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://")
}

// record prints the records of a page.
func record(ctx context.Context, f *compareFlags, p printer, address string) error {
	if f.length <= 0 {
		return fmt.Errorf("%w: -for must be positive", errUsage)
	}
	lines := json.NewEncoder(p.out)
	lines.SetEscapeHTML(false)
	f.announce(p, address)
	return f.watch(ctx, address, func(r map[string]any) error { return lines.Encode(r) })
}

// Times of watching a page.
const (
	watchEvery  = 500 * time.Millisecond // pages have a new sample every second
	watchSilent = 10 * time.Second       // until a page that does not answer is an error; the service may just be starting
)

// announce prints that a page is watched.
func (f *compareFlags) announce(p printer, address string) {
	fmt.Fprintln(p.progress, plain(fmt.Sprintf("gmpulse: watching %s for %v", address, f.length)))
}

// watch passes each new record of a page to each, until -for has passed or ctx is done.
func (f *compareFlags) watch(ctx context.Context, address string, each func(map[string]any) error) error {
	pages, err := f.pages([]string{address})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.length)
	defer cancel()
	w := watcher{read: pages[0].record, each: each}
	if err := w.run(ctx); err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	return nil
}

// watcher passes each new record that read returns to each.
type watcher struct {
	read     func(context.Context) (map[string]any, error)
	each     func(map[string]any) error
	last     string    // id of the last record
	answered time.Time // when read last succeeded
	failure  error     // of read; nil after the first record
}

// run watches until ctx is done. It returns the error of read if that fails for too long, or always.
func (w *watcher) run(ctx context.Context) error {
	w.answered = time.Now()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := w.next(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return w.failure
		case <-tick.C:
		}
	}
}

func (w *watcher) next(ctx context.Context) error {
	r, err := w.read(ctx)
	if err != nil {
		if time.Since(w.answered) > watchSilent {
			return err
		}
		if w.last == "" && (w.failure == nil || ctx.Err() == nil) { // the end of ctx explains nothing
			w.failure = err
		}
		return nil
	}
	w.answered, w.failure = time.Now(), nil
	id, _ := r["id"].(string)
	if id == w.last {
		return nil
	}
	w.last = id
	return w.each(r)
}

// record returns the newest record of a page.
func (c *pageClient) record(ctx context.Context) (r map[string]any, err error) {
	// A late record is worth waiting for: its counters cover the time since the last one.
	ctx, cancel := context.WithTimeoutCause(ctx, watchSilent, fmt.Errorf("no answer within %v", watchSilent))
	defer cancel()
	return r, c.get(ctx, "record", nil, &r)
}

func printReport(p printer, r *compare.Report) {
	for _, s := range r.Sentences() {
		p.line("%s", s)
	}
	for _, w := range r.Warnings {
		p.line("warning: %s", w)
	}
	for _, t := range r.Tables() {
		if t.Title == "" {
			p.title("process")
		} else {
			fmt.Fprintf(p.out, "\n%s\n", plain(t.Title))
		}
		p.table(t.Rows)
	}
	p.line("")
	p.line("%s", r.Summary())
}
