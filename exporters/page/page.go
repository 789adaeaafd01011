// SPDX-License-Identifier: Apache-2.0

// Package page serves the live page. It is an exporter whose clients are browsers.
//
//	p, err := page.New(page.Config{})
//	mux.Handle("/debug/gmpulse/", p.Handler())
//
// The page starts with the past: the exporter keeps an hour of every number at one row
// a second and older rows at one in ten, and the active spans, events, verdicts and
// sizes of groups of goroutines of that time. All of it takes less than 2 MB
// (TestMemoryIsBounded). The number of viewers does not affect sampling: each viewer
// is one goroutine, and a row is encoded once for all of them.
//
// The page consists of static files and a JSON API below api/v1/, which
// docs/page-api.md describes. All addresses are relative, so that the handler works
// under any prefix, in net/http, Gin, chi, Echo and Fiber, with or without
// http.StripPrefix. It does not authenticate: that is up to the mux or the server
// around it. Package agent serves it on the loopback address; on other addresses it
// requires a token.
//
// BenchmarkExport and BenchmarkHistory measure what a sample and opening the page
// cost.
package page

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/internal/reply"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/redact"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// Config configures an [Exporter]. The zero value is a page without groups of
// goroutines and without captures.
type Config struct {
	// Resolution is the time between two rows of the history, from 10 ms to 1 h. A
	// snapshot that comes sooner adds its events but no row. Zero means one second, at
	// which the history holds an hour at full resolution.
	Resolution time.Duration
	// Goroutines returns the last survey and the verdicts. Each Export and some requests
	// call it; it must not block. Nil means that there are no groups and verdicts.
	Goroutines func() goroutines.Report
	// Bundles holds the captures: a directory for each, with its files and
	// manifest.json. Nil means that none are shown.
	Bundles fs.FS
	// Capture takes a capture and returns the name of its directory. It is not called
	// concurrently, at most once in CaptureInterval, and with a context that ends after
	// two minutes. Nil means that the page cannot request captures.
	Capture func(ctx context.Context, reason string) (id string, err error)
	// CaptureInterval is the minimum time between the starts of two captures that the
	// page requests. Zero means one minute.
	CaptureInterval time.Duration
	// NoSpans reports whether the program sets no tracer provider; the page then
	// explains how to change that. It must not block. Nil means that it sets one.
	NoSpans func() bool
	// MaxViewers is the maximum number of viewers, each of which has a connection. Others
	// are answered 503. Zero means 128.
	MaxViewers int
	// NoProfiles omits the profiles of the process below pprof/. Default false: who may read the
	// page may take profiles, one CPU profile and one execution trace at a time.
	NoProfiles bool
	// Profiler has the profiles of the last hours and the CPU time by root span. It is suspended
	// while a CPU profile below pprof/ is taken. Nil means that there are none.
	Profiler *profiler.Profiler
	// TraceURL is the address of a trace, with {trace_id} and optionally {span_id} in
	// place of the ids, such as "http://localhost:16686/trace/{trace_id}". Empty means
	// that ids are shown without a link.
	TraceURL string
	// Assets replaces the files of the page, for work on them. Nil means the built-in
	// files.
	Assets fs.FS
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Resolution == 0 {
		c.Resolution = time.Second
	}
	if c.Resolution < 10*time.Millisecond || c.Resolution > time.Hour {
		errs = append(errs, fmt.Errorf("page: Config.Resolution is %v: set it between 10ms and 1h, or to 0 for 1s", c.Resolution))
	}
	if c.CaptureInterval == 0 {
		c.CaptureInterval = time.Minute
	}
	if c.CaptureInterval < 0 {
		errs = append(errs, fmt.Errorf("page: Config.CaptureInterval is %v: set it above zero, or to 0 for 1m", c.CaptureInterval))
	}
	c.MaxViewers = cmp.Or(c.MaxViewers, defaultViewers)
	if c.MaxViewers < 0 {
		errs = append(errs, fmt.Errorf("page: Config.MaxViewers is %d: set it above zero, or to 0 for %d", c.MaxViewers, defaultViewers))
	}
	if err := checkTraceURL(c.TraceURL); err != nil {
		errs = append(errs, err)
	}
	if c.Bundles != nil && guard.IsNil(c.Bundles) {
		errs = append(errs, fmt.Errorf("page: Config.Bundles is a nil %T", c.Bundles))
	}
	if c.Assets != nil && guard.IsNil(c.Assets) {
		errs = append(errs, fmt.Errorf("page: Config.Assets is a nil %T", c.Assets))
	}
	return c, errors.Join(errs...)
}

// checkTraceURL rejects addresses that a browser would run as a script or cannot open.
func checkTraceURL(template string) error {
	if template == "" {
		return nil
	}
	u, err := url.Parse(strings.NewReplacer("{trace_id}", "0", "{span_id}", "0").Replace(template))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || !strings.Contains(template, "{trace_id}") {
		return fmt.Errorf("page: Config.TraceURL is %q: want an http or https address with {trace_id} in it, such as http://localhost:16686/trace/{trace_id}", redact.URL(template))
	}
	return nil
}

// Exporter keeps the recent past and serves the page. It is an [exporters.Exporter].
// Create one with [New]. It is safe for concurrent use.
type Exporter struct {
	config  Config
	history *history
	rows    *rowBuilder
	clock   rowClock
	store   *store
	hub     *hub
	boot    string  // distinguishes the rows of this Exporter from the rows of others
	heavy   limiter // of requests that unpack much of the history
	sending *reply.Budget
	handler http.Handler
	closing chan struct{} // closed by Shutdown

	latest  atomic.Pointer[runtimeinfo.Snapshot] // nil before the first Export
	mu      sync.Mutex                           // serializes Export
	stopped bool
}

var _ exporters.Exporter = (*Exporter)(nil)

// New returns an Exporter. It starts no goroutine and opens no listener. The error
// lists all invalid fields of c.
func New(c Config) (*Exporter, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Exporter{
		config: c, history: newHistory(), store: newStore(), hub: newHub(c.MaxViewers),
		boot:  strconv.FormatInt(time.Now().UnixNano(), 36),
		heavy: make(limiter, 2), sending: reply.NewBudget(maxSending), closing: make(chan struct{}),
	}
	e.rows = newRowBuilder(e.history)
	if _, err := e.readAsset("index.html"); err != nil {
		return nil, fmt.Errorf("page: Config.Assets: %w", err)
	}
	e.handler = newHandler(e)
	return e, nil
}

// Export stores s and wakes the viewers. It does not wait for any of them. After
// Shutdown it returns [exporters.ErrShutdown].
func (e *Exporter) Export(_ context.Context, s *runtimeinfo.Snapshot) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return exporters.ErrShutdown
	}
	var report goroutines.Report
	if e.config.Goroutines != nil {
		report = e.config.Goroutines()
	}
	ms, due := e.clock.tick(s.Time, e.config.Resolution)
	var row []float32
	if due {
		row = e.rows.row(s)
		e.history.add(ms, row)
	}
	_, _, seq := e.history.span()
	e.store.add(ms, seq, s, &report, due)
	e.latest.Store(s)
	if viewers, _ := e.hub.counts(); viewers == 0 {
		e.hub.clear()
	} else if due {
		e.hub.publish(e.encodeFrame(seq, ms, row, len(e.history.directory()), true))
	}
	return nil
}

// Shutdown ends the streams of all viewers and the profiles in progress. The handler continues
// to serve what the Exporter has stored.
func (e *Exporter) Shutdown(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.stopped {
		close(e.closing)
	}
	e.stopped = true
	e.hub.close()
	return nil
}

// Handler returns the handler of the page and its API.
func (e *Exporter) Handler() http.Handler { return e.handler }
