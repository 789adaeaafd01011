// SPDX-License-Identifier: Apache-2.0

// Package compare compares two recordings of a service, before and after a change: what requests cost,
// how long they take, how many fail, and what the process holds. It reports for each quantity whether the
// difference is more than noise, and whether it is a regression. docs/compare.md describes the method.
package compare

import (
	"fmt"
	"math"
	"time"

	"github.com/gmpulse/gmpulse/internal/abtest"
)

// Config configures [Compare].
type Config struct {
	// Margin is the relative change up to which a difference is no regression, such as 0.05.
	Margin float64
	// Warmup is the time to leave out at the start of the process, and of the load.
	Warmup time.Duration
	// Roots is the maximum number of names of root spans to compare, the most frequent first.
	Roots int
}

// Report is a comparison.
type Report struct {
	Before Side    `json:"before"`
	After  Side    `json:"after"`
	Margin float64 `json:"margin"`
	// Paired reports whether both were recorded at the same time. What disturbs both then cancels.
	Paired bool `json:"paired"`
	// Warnings list other differences between the recordings, and what could not be compared.
	Warnings []string `json:"warnings,omitempty"`
	Rows     []Row    `json:"rows"`
}

// Side describes a recording.
type Side struct {
	Source    string    `json:"source"`
	Service   string    `json:"service,omitempty"`
	Version   string    `json:"version,omitempty"`
	GoVersion string    `json:"go_version,omitempty"`
	Host      string    `json:"host,omitempty"`
	MaxProcs  float64   `json:"gomaxprocs,omitempty"`
	From      time.Time `json:"from"`
	Seconds   float64   `json:"seconds"`  // compared
	Interval  float64   `json:"interval"` // seconds between two records
	Requests  float64   `json:"requests"`
	// Others is the number of CPUs that other processes of the machine used; nil if unknown.
	Others *float64 `json:"other_cpus,omitempty"`
}

// Row is the comparison of one quantity.
type Row struct {
	// Root is the name of the root spans, empty for a quantity of the process.
	Root     string `json:"root_span,omitempty"`
	Quantity string `json:"quantity"`
	Unit     string `json:"unit"` // as UCUM
	// Before and After are nil if a recording does not have the quantity.
	Before *float64 `json:"before"`
	After  *float64 `json:"after"`
	// Change is After/Before-1, or After-Before if Difference is set, and Low and High are the bounds
	// of its 95 % interval. They are nil if there is too little data.
	Change     *float64 `json:"change"`
	Low        *float64 `json:"low"`
	High       *float64 `json:"high"`
	Difference bool     `json:"difference,omitempty"`
	Result     Result   `json:"result"`
	// Judged reports whether the quantity can be a regression.
	Judged bool `json:"judged"`

	effect abtest.Effect
	least  float64 // see quantity
	margin float64
}

// Result is the result for one quantity.
type Result string

// The results. Less and More are the results if a difference is more than noise.
const (
	TooLittle  Result = "too little data"
	NoEvidence Result = "no evidence of a change"
	Less       Result = "less"
	More       Result = "more"
	Faster     Result = "faster"
	Slower     Result = "slower"
	Regression Result = "regression"
)

// Regressions returns the rows with that result.
func (r *Report) Regressions() (all []Row) {
	for i := range r.Rows {
		if r.Rows[i].Result == Regression {
			all = append(all, r.Rows[i])
		}
	}
	return all
}

// comparison is a Report in the making.
type comparison struct {
	Report
	config        Config
	before, after window
	quiet         bool // other processes used about as much CPU in both recordings
}

// Compare compares two recordings. It returns an error if one of them has no time to compare.
func Compare(before, after *Recording, c Config) (*Report, error) {
	for _, r := range []*Recording{before, after} {
		if len(r.samples) == 0 {
			return nil, fmt.Errorf("%s has no records", r.Source)
		}
		r.finish()
	}
	requests := common(before, after, keyEnded, keyStarted)
	x := &comparison{
		config: c, quiet: true,
		before: before.window(requests, c.Warmup), after: after.window(requests, c.Warmup),
	}
	if requests != "" && !before.requested(requests) && !after.requested(requests) { // a service without spans
		x.before, x.after = before.window("", c.Warmup), after.window("", c.Warmup)
	}
	for _, s := range []struct {
		r *Recording
		w *window
	}{{before, &x.before}, {after, &x.after}} {
		if len(s.w.blocks) == 0 {
			return nil, fmt.Errorf("%s: none of its %d records is %v after the start of the process and of the load: record for longer, or set -warmup", s.r.Source, len(s.r.samples), c.Warmup)
		}
	}
	x.Paired = pair(&x.before, &x.after)
	x.Margin, x.Before, x.After = c.Margin, before.side(&x.before), after.side(&x.after)
	x.warn(before, after)
	x.process()
	x.roots()
	x.judge()
	return &x.Report, nil
}

// common returns the first of some keys that both recordings have, empty if there is none.
func common(a, b *Recording, keys ...string) string {
	for _, key := range keys {
		if a.has(key) && b.has(key) {
			return key
		}
	}
	return ""
}

func (r *Recording) has(key string) bool { return has(&r.samples[len(r.samples)-1], key) }

// requested reports whether a counter of requests rose.
func (r *Recording) requested(key string) bool {
	return r.samples[len(r.samples)-1].values[key] > r.samples[0].values[key]
}

// process adds the rows of the process.
func (c *comparison) process() {
	elapsed := func(s *step) (float64, bool) { return s.seconds, true }
	requests := func(s *step) (float64, bool) { return s.counter(c.before.requests) }
	cycles := func(s *step) (float64, bool) { return s.counter(keyCycles) }
	if c.before.requests != "" {
		c.row(&quantity{name: "requests", unit: "{request}/s", y: requests, per: perSecond}, "requests per second", elapsed)
	}
	for _, q := range quantities() {
		name, x := q.name, elapsed
		switch {
		case q.per == perRequest && c.before.requests != "":
			name, x = name+" per request", requests
		case q.per == perRequest:
			name += " per second"
		case q.per == perCycle:
			name, x = name+" per cycle", cycles
		case q.name == "GC cycles":
			name += " per second"
		}
		c.row(&q, name, x)
	}
}

// row adds a row of the process, unless neither recording has the quantity.
func (c *comparison) row(q *quantity, name string, x func(*step) (float64, bool)) {
	before, ok1 := c.before.measure(q.y, x)
	after, ok2 := c.after.measure(q.y, x)
	if !ok1 && !ok2 {
		return
	}
	r := Row{Quantity: name, Unit: q.unit, Judged: q.better == less || q.better == lessIfQuiet && c.quiet, least: q.least, margin: c.config.Margin}
	if ok1 && ok2 {
		r.effect = c.relative(&before, &after)
	}
	r.set(before.Estimate, after.Estimate, ok1, ok2)
	c.Rows = append(c.Rows, r)
}

// relative compares two measured quantities, block by block if both were recorded at the same time.
func (c *comparison) relative(before, after *measured) abtest.Effect {
	if c.Paired && before.blocks != nil && after.blocks != nil {
		return abtest.Paired(before.blocks, after.blocks, c.before.waves)
	}
	return abtest.Relative(before.Estimate, after.Estimate)
}

// set sets the values of a row.
func (r *Row) set(before, after abtest.Estimate, ok1, ok2 bool) {
	if ok1 && finite(before.Value) {
		r.Before = &before.Value
	}
	if ok2 && finite(after.Value) {
		r.After = &after.Value
	}
	if e := &r.effect; e.Known && finite(e.Low) && finite(e.High) && r.Before != nil && r.After != nil {
		r.Change, r.Low, r.High = &e.Change, &e.Low, &e.High
	}
}

// errorShare is the part of the margin up to which a difference of the share of failed requests is no
// regression: half of a percentage point at a margin of 5 %.
const errorShare = 0.1

// roots adds the rows of root spans by name.
func (c *comparison) roots() {
	before, after := c.before.rootNames(), c.after.rootNames()
	if len(before) == 0 || len(after) == 0 {
		return
	}
	names := byCount(before, after)
	for _, name := range names[:min(len(names), c.config.Roots)] {
		if before[name] > 0 && after[name] > 0 {
			c.root(name)
		}
	}
}

func (c *comparison) root(name string) {
	a, b := c.before.rootBlocks(name), c.after.rootBlocks(name)
	add := func(quantity, unit string, judged bool, of func(*window, []root) measured) {
		r := Row{Root: name, Quantity: quantity, Unit: unit, Judged: judged, margin: c.config.Margin}
		before, after := of(&c.before, a), of(&c.after, b)
		if r.Difference = unit == "1"; r.Difference {
			r.margin *= errorShare
			r.effect = abtest.Difference(before.Estimate, after.Estimate)
		} else {
			r.effect = c.relative(&before, &after)
		}
		r.set(before.Estimate, after.Estimate, true, true)
		c.Rows = append(c.Rows, r)
	}
	ratio := func(y, x func(*root) float64) func(*window, []root) measured {
		return func(w *window, roots []root) measured {
			blocks := make([]abtest.Block, len(roots))
			for i := range roots {
				blocks[i] = abtest.Block{Y: y(&roots[i]), X: x(&roots[i])}
			}
			return w.ratio(blocks)
		}
	}
	ended := func(r *root) float64 { return r.ended }
	timed := func(r *root) float64 { return r.durations.count() } // may lag behind ended
	add("requests per second", "{request}/s", false, func(w *window, roots []root) measured { return w.rate(roots) })
	add("errors", "1", true, func(w *window, roots []root) measured {
		return binomial(ratio(func(r *root) float64 { return r.errors }, ended)(w, roots), roots)
	})
	add("latency mean", "s", c.quiet, ratio(func(r *root) float64 { return r.seconds }, timed))
	for _, p := range []float64{0.5, 0.99} {
		add(fmt.Sprintf("latency p%.0f", 100*p), "s", c.quiet, func(w *window, roots []root) measured {
			blocks := make([]histogram, len(roots))
			for i := range roots {
				blocks[i] = roots[i].durations
			}
			return measured{Estimate: quantileOf(blocks, p, w.waves)}
		})
	}
}

// rate estimates the requests per second.
func (w *window) rate(roots []root) measured {
	blocks := make([]abtest.Block, len(roots))
	for i, steps := range w.blocks {
		blocks[i].Y = roots[i].ended
		for j := range steps {
			blocks[i].X += steps[j].seconds
		}
	}
	return w.ratio(blocks)
}

// binomial returns an estimate of a share. Its error is at least the error of independent requests, even
// if none failed.
func binomial(e measured, roots []root) measured {
	var n, failed float64
	for i := range roots {
		n, failed = n+roots[i].ended, failed+roots[i].errors
	}
	p := (failed + 1) / (n + 2)
	e.Error = max(e.Error, math.Sqrt(p*(1-p)/max(1, n)))
	return measured{Estimate: e.Estimate}
}

// Levels of the tests, together for all rows: a difference between equal services, and a regression where
// the change is within the margin, which is the level of one side of a 95 % interval. The rows of the
// process and the rows of root spans share it equally: a service with many endpoints would otherwise make
// it hard to find that requests cost more CPU.
const (
	differenceLevel = 0.05
	regressionLevel = 0.025
)

// judge sets the results.
func (c *comparison) judge() {
	var process, roots []*Row
	for i := range c.Rows {
		r := &c.Rows[i]
		if r.Result = TooLittle; r.Change == nil {
			continue
		}
		r.Result = NoEvidence
		if r.Root == "" {
			process = append(process, r)
		} else {
			roots = append(roots, r)
		}
	}
	for _, family := range [][]*Row{process, roots} {
		reject(family, differenceLevel/2, func(r *Row) float64 { return min(1, 2*min(r.effect.Above(0), r.effect.Below(0))) }, (*Row).differs)
		var judged []*Row
		for _, r := range family {
			if r.Judged {
				judged = append(judged, r)
			}
		}
		reject(judged, regressionLevel/2, (*Row).regression, func(r *Row) { r.Result = Regression })
	}
}

// reject calls then for the rows whose hypotheses are rejected.
func reject(rows []*Row, level float64, probability func(*Row) float64, then func(*Row)) {
	p := make([]float64, len(rows))
	for i, r := range rows {
		p[i] = probability(r)
	}
	for i, rejected := range abtest.Holm(p, level) {
		if rejected {
			then(rows[i])
		}
	}
}

// regression returns the probability of the values if the true change is within the margin.
func (r *Row) regression() float64 {
	if *r.Low <= r.margin || *r.After-*r.Before < r.least {
		return 1
	}
	return r.effect.Above(r.margin)
}

func (r *Row) differs() {
	higher := *r.Change > 0
	switch duration := r.Root != "" && r.Unit == "s"; {
	case duration && higher:
		r.Result = Slower
	case duration:
		r.Result = Faster
	case higher:
		r.Result = More
	default:
		r.Result = Less
	}
}
