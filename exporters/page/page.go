// SPDX-License-Identifier: Apache-2.0

// Package page is the live page: an exporter whose client is a browser.
//
//	p, err := page.New(page.Config{})
//	mux.Handle("/debug/gmpulse/", p.Handler())
//
// It opens with the past. The exporter keeps an hour of every number at one row
// a second, and what is older at one row in ten, packed; the spans that were
// active; the events, the verdicts and the size of each group of goroutines: all
// of it in less than 2 MB, whatever happens (TestMemory). It samples nothing by
// itself, so any number of viewers cost the sampler nothing: each is one
// goroutine that is handed what was encoded once.
//
// The page is plain files and a JSON API below api/v1/, which the page itself
// uses, see docs/page-api.md. All addresses are relative: the handler works
// under any prefix, in net/http, Gin, chi, Echo and Fiber, with or without
// http.StripPrefix. It asks nobody for credentials: who may reach it is up to
// the mux or the server around it. Package agent serves it on the loopback
// address, and beyond that with a token only.
//
// An Export costs about 10 µs and 1.3 KB on the exporter's own goroutine
// (BenchmarkExport), an hour of every column 8 ms (BenchmarkHistory).
package page

import (
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
	"github.com/gmpulse/gmpulse/internal/redact"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// Config configures an [Exporter]. The zero value is a page without groups of
// goroutines and without captures.
type Config struct {
	// Resolution is the time between two rows of the history. A snapshot that
	// comes sooner is left out; its events are not. Default one second: the
	// history then holds an hour, and thinned more. From 10 ms to one hour.
	Resolution time.Duration
	// Goroutines returns what the goroutine detective knows. It is called at each
	// Export and must not block. Nil: there are no groups and no verdicts.
	Goroutines func() goroutines.Report
	// Bundles holds the captures: a directory for each, with its files and
	// manifest.json. Nil: none are shown.
	Bundles fs.FS
	// Capture takes a capture and returns the name of its directory. It is called
	// once at a time, at most once in CaptureInterval, with a context that ends
	// after two minutes. Nil: the page cannot ask for one.
	Capture func(ctx context.Context, reason string) (id string, err error)
	// CaptureInterval is the least time between two captures that the page asks
	// for. Default one minute.
	CaptureInterval time.Duration
	// NoSpans reports whether the program begins no spans that anybody sees; the page
	// then says how to change that. It must not block. Nil: the page does not say so.
	NoSpans func() bool
	// TraceURL is where to look up a trace, with {trace_id}, and {span_id} if
	// need be, in the place of its ids: "http://localhost:16686/trace/{trace_id}".
	// Empty: ids are shown without a link.
	TraceURL string
	// Assets replaces the files of the page, for work on them. Nil: those that
	// are built in.
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
	if err := checkTraceURL(c.TraceURL); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

// checkTraceURL refuses what a browser would run or could not open.
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

// Exporter keeps the recent past and serves the page. It is an
// [exporters.Exporter]. Make one with [New]; any number of goroutines may use it.
type Exporter struct {
	config  Config
	history *history
	sampler *sampler
	clock   clock
	keeper  *keeper
	hub     *hub
	boot    string // tells the rows of this Exporter from those of another
	heavy   gate   // requests that unpack much
	sending *reply.Budget
	handler http.Handler

	latest  atomic.Pointer[runtimeinfo.Snapshot] // nil before the first Export
	mu      sync.Mutex                           // one Export at a time
	stopped bool
}

var _ exporters.Exporter = (*Exporter)(nil)

// New returns an Exporter. It starts nothing and listens nowhere. The error says
// what of c is wrong.
func New(c Config) (*Exporter, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Exporter{config: c, history: newHistory(), keeper: newKeeper(), boot: strconv.FormatInt(time.Now().UnixNano(), 36), heavy: newGate(2), sending: reply.NewBudget(maxSending)}
	e.sampler = newSampler(e.history)
	e.hub = newHub(e.frames)
	e.handler, err = newHandler(e)
	return e, err
}

// Export remembers what s says and tells the viewers. It never waits for any of them.
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
	if due {
		due = e.history.add(ms, e.sampler.row(s))
	}
	_, _, seq := e.history.span()
	e.keeper.add(ms, seq, s, &report, due)
	e.latest.Store(s)
	if due {
		e.hub.wake()
	}
	return nil
}

// Shutdown ends the streams of all viewers. What the page knows can be looked at
// for as long as somebody serves it.
func (e *Exporter) Shutdown(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	e.hub.close()
	return nil
}

// Handler returns the page, with everything that belongs to it.
func (e *Exporter) Handler() http.Handler { return e.handler }
