// SPDX-License-Identifier: Apache-2.0

// Package prom is the exporter for Prometheus: a collector for a registry of
// yours, or a page of its own.
//
//	e, err := prom.New(prom.Config{})
//	mux.Handle("/metrics", e.Handler())            // the page, or
//	err = registry.Register(e)              // your registry
//
// Nothing of gmpulse's is sampled for a scrape: it renders the snapshot that the
// agent handed over last, so any number of scrapers cost the sampler nothing, and
// a value is as old as the tick that read it. Nothing is listed here either:
// families, names and labels are those of the metrics in the snapshot, see [Name].
//
// As a collector the Exporter has gmpulse's own families only, all of them with
// one prefix and described beforehand, so that it lives beside the Go and process
// collectors in a registry of yours. [Exporter.Handler] serves client_golang's
// Go, process and build-info families too, under the names that existing
// dashboards and alerts rely on, and target_info, by OpenTelemetry's convention.
//
// What cannot be published must not take the page down with it: a metric whose
// name or labels Prometheus would refuse, and a value that would appear twice,
// is left out and counted, see [Exporter.Skipped].
//
// Cost of a scrape of some 240 series (BenchmarkScrape, 2 shared cores): 21 µs and
// 36 allocations of 2 KB for the page of gmpulse's own families, 31 KB of text
// ([Config.OnlyOwn]); 0.15 ms with gzip. The whole page of 39 KB takes 0.4 ms and
// 1,097 allocations, nearly all of it for client_golang's collectors, which do read
// /proc at each scrape, and 0.6 ms with gzip, for 8 KB. In a registry of yours a
// scrape takes 0.24 ms and 1,454 allocations, of which the collector makes 25: the
// rest is what client_golang's registry and encoder do with the values
// (go -C benchmarks run ./compare -only scrape). An Export costs one allocation of 24 B
// (BenchmarkExport).
package prom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/sampler"
)

// Config configures an [Exporter]. The zero value is ready to use.
type Config struct {
	// Collectors are more collectors for the page of [Exporter.Handler]: the
	// application's own metrics. Default: none.
	Collectors []prometheus.Collector
	// OnlyOwn leaves the families of client_golang's Go, process and build-info
	// collectors off the page, for a service that publishes them elsewhere. They
	// take most of the page's time. Default: false.
	OnlyOwn bool
	// Logger hears once of each metric that is left out. Default: [slog.Default].
	Logger *slog.Logger
}

const (
	// maxRendering is how many pages are rendered at a time. One takes about 1 ms.
	maxRendering = 4
	// maxWaiting is how many requests wait for a place among them, and waitTimeout how
	// long: with scrapeTimeout it stays below 10 s.
	maxWaiting  = 16
	waitTimeout = 2 * time.Second
	// maxSending is how many bytes of pages may wait for slow clients: 100 whole pages.
	maxSending = 4 << 20
	// Half of the shortest scrape timeout in common use, which is 10 s.
	scrapeTimeout = 5 * time.Second
)

// Exporter publishes the newest snapshot to whoever scrapes. It is an
// [exporters.Exporter] and a [prometheus.Collector]. Make one with [New]; any
// number of goroutines may use it.
type Exporter struct {
	logger  *slog.Logger
	known   *plan // for the catalogue, which is what Describe describes
	state   atomic.Pointer[state]
	skipped atomic.Uint64
	handler http.Handler
}

var (
	_ exporters.Exporter   = (*Exporter)(nil)
	_ prometheus.Collector = (*Exporter)(nil)
)

// state is what a scrape renders. It is replaced, never changed.
type state struct {
	snapshot *runtimeinfo.Snapshot // nil before the first Export and after Shutdown
	plan     *plan                 // for the metrics of snapshot
	stopped  bool
}

// New returns an Exporter. It starts nothing and registers nothing globally. The
// error names those of [Config.Collectors] that cannot be on one page with the rest.
func New(c Config) (*Exporter, error) {
	e := &Exporter{logger: c.Logger, known: newPlan(nil, sampler.Catalogue())}
	if e.logger == nil {
		e.logger = slog.Default()
	}
	e.state.Store(&state{plan: e.known})
	registry := prometheus.NewRegistry()
	all := []prometheus.Collector{e}
	if !c.OnlyOwn {
		all = append(all,
			collectors.NewGoCollector(),
			collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
			collectors.NewBuildInfoCollector())
	}
	all = append(all, c.Collectors...)
	if err := registerAll(registry, all); err != nil {
		return nil, err
	}
	registry.Unregister(e) // it was there to find the collectors that clash; the page renders it by itself
	page, err := newPage(e, registry, len(all) == 1)
	if err != nil {
		return nil, err
	}
	e.handler = page
	return e, nil
}

func registerAll(r prometheus.Registerer, all []prometheus.Collector) error {
	var errs []error
	for _, c := range all {
		if c == nil {
			errs = append(errs, errors.New("prom: a collector is nil"))
			continue
		}
		if err := r.Register(c); err != nil {
			errs = append(errs, fmt.Errorf("prom: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Export makes s the snapshot that scrapes render. It never waits.
func (e *Exporter) Export(_ context.Context, s *runtimeinfo.Snapshot) error {
	for {
		old := e.state.Load()
		if old.stopped {
			return exporters.ErrShutdown
		}
		next := &state{snapshot: s, plan: old.plan}
		if !old.plan.covers(s.Metrics()) {
			next.plan = newPlan(e.known, s.Metrics())
		}
		if e.state.CompareAndSwap(old, next) {
			e.report(old.plan, next.plan)
			return nil
		}
	}
}

// report logs the metrics that are left out of the new plan and were not of the old.
func (e *Exporter) report(old, next *plan) {
	if old == next {
		return
	}
	for key, reason := range next.refused {
		if _, known := old.refused[key]; !known {
			e.logger.Warn("metric left out of the Prometheus exposition",
				slog.String("metric", key), slog.String("reason", reason.Error()))
		}
	}
}

// Shutdown drops the snapshot: from now on scrapes render nothing of gmpulse's,
// which is how Prometheus learns that the series ended.
func (e *Exporter) Shutdown(context.Context) error {
	e.state.Store(&state{plan: e.known, stopped: true})
	return nil
}

// Handler returns the page: what the Exporter itself collects, target_info,
// [Config.Collectors], and the families of client_golang's Go, process and
// build-info collectors. It speaks text, OpenMetrics and protobuf, with gzip
// where the client accepts it. It renders four pages at a time. Up to 16 requests
// wait for that, in order of arrival, at most 2 s; others are answered 503, and so is
// one whose page takes longer than 5 s. A client that accepts no
// data for 10 s is disconnected, and sooner when more than 4 MB wait for slow clients.
// An error in one family leaves that
// family's values out and is counted on the page; the rest is served.
//
// It checks no credentials: who may reach it is up to the mux or server around it.
func (e *Exporter) Handler() http.Handler { return e.handler }

// Skipped returns how many values were left out, summed over all scrapes: those
// of metrics that Prometheus would refuse, which are logged once each, and those
// that appeared twice.
func (e *Exporter) Skipped() uint64 { return e.skipped.Load() }

// Describe sends the descriptors of the whole catalogue, present on this
// platform or not. Gauges that the application adds are collected without being
// described: what an Exporter describes must stay the same for Unregister to
// find it. All registries but pedantic ones, which are for tests, accept that.
func (e *Exporter) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range e.known.forms {
		ch <- f.desc
	}
}

// Collect sends the values of the newest snapshot, nothing before the first
// Export and after Shutdown.
func (e *Exporter) Collect(ch chan<- prometheus.Metric) {
	st := e.state.Load()
	if st.snapshot == nil {
		return
	}
	values, skipped := st.choose(make([]value, 0, 2*len(st.snapshot.Metrics())))
	samples := render(values)
	for i := range samples {
		ch <- &samples[i]
	}
	e.skipped.Add(skipped)
}
