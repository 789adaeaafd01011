// SPDX-License-Identifier: Apache-2.0

// Package engine samples the process at an interval, calls analyzers that add to each sample,
// and delivers the resulting snapshots to exporters.
//
//	e, err := engine.New(engine.WithExporter("log", exporters.Log(nil)))
//	...
//	err = e.Run(ctx) // until ctx is done
//
// Most programs use package agent, which combines an engine with the standard analyzers and
// exporters. Use this package directly to choose them, or to avoid linking the clients of
// Prometheus and Fluentd: this package links no client of a backend.
//
// An exporter implements [exporters.Exporter] and is added with [WithExporter]. It receives a
// summary of the samples every ten seconds, or as often as [Every] says. An analyzer
// implements [Analyzer] and is added with [WithAnalyzer]. An exporter that is slow, hangs or panics
// delays neither the samples nor other exporters. An analyzer that hangs delays one tick by 100 ms.
//
// # Cost
//
// At the default interval the engine uses a few microseconds per second for the sample and
// 0.2 µs for each of eleven readings of the scheduler. A host pass every ten seconds takes
// less than a millisecond on its own goroutine.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine/internal/delivery"
	"github.com/gmpulse/gmpulse/internal/agentlabel"
	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// ErrStopped is the error of [Engine.Run] and [Engine.Start] if the engine runs or was stopped
// already.
var ErrStopped = errors.New("engine: the engine runs or was stopped already; an engine runs once, so make a new one")

// ProfilerLabel is the key of the pprof label of every goroutine that the agent starts. It
// separates the cost of the agent from the cost of the application in profiles.
const ProfilerLabel = agentlabel.Key

// shutdownTimeout limits the shutdown if the context of Run is done and Stop was not called.
const shutdownTimeout = 5 * time.Second

// Engine samples the process and delivers the snapshots to exporters. [New] makes one. It runs
// once. Its methods are safe for concurrent use.
type Engine struct {
	config     config
	start      time.Time
	reader     *sampler.Reader
	pulses     pulses
	host       hostLoop
	gauges     gauges
	analyzers  []*task
	deliveries []*delivery.Delivery
	calls      sync.WaitGroup // goroutines that call gauges and analyzers
	catalogue  atomic.Pointer[runtimeinfo.Catalogue]
	latest     atomic.Pointer[runtimeinfo.Snapshot]
	builder    *runtimeinfo.Builder // of the last snapshot; used only by tick
	incidents  incidents            // that analyzers have opened; used only by tick and at the end
	span       *runtimeinfo.Span    // the oldest sampled span of the last snapshot; used only by tick

	ticks        atomic.Uint64
	missed       atomic.Uint64
	tickDuration atomic.Int64 // nanoseconds
	lastTick     atomic.Pointer[time.Time]

	stopOnce sync.Once
	stop     chan struct{}   // closed by Stop
	stopCtx  context.Context //nolint:containedctx // passes the deadline of Stop to the goroutine of Run; set before stop is closed
	started  atomic.Bool
	done     chan struct{} // closed when Run has returned
	err      error         // the result of Run; set before done is closed
}

// New returns an engine. It starts no goroutine and opens no file or connection. Its error
// joins all invalid options. A nil Option is ignored.
func New(opts ...Option) (*Engine, error) {
	c := config{interval: time.Second, hostInterval: 10 * time.Second, exportTimeout: 5 * time.Second, logger: slog.Default()}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	c.logger = guard.Logger(c.logger)
	e := &Engine{
		config: c,
		start:  time.Now(),
		reader: sampler.NewReader(sampler.Config{}),
		pulses: pulses{wake: make(chan struct{}, 1)},
		host:   hostLoop{reader: host.NewReader(host.Config{Logger: c.logger}), interval: c.hostInterval},

		builder: new(runtimeinfo.Builder),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	metrics := e.reader.Metrics()
	for _, a := range c.analyzers {
		e.analyzers = append(e.analyzers, &task{name: a.name, call: a.analyzer.Analyze})
		metrics = append(slices.Clip(metrics), a.analyzer.Metrics()...)
	}
	catalogue, err := runtimeinfo.NewCatalogue(append(slices.Clip(metrics), Metrics()...)...)
	if err != nil {
		return nil, fmt.Errorf("engine: WithAnalyzer: %w", err)
	}
	e.catalogue.Store(catalogue)
	for _, x := range c.exporters {
		e.deliveries = append(e.deliveries, delivery.New(x.name, x.exporter, x.queue, c.pace(&x), c.exportTimeout, c.logger))
	}
	return e, nil
}

// Run samples until [Engine.Stop] is called or ctx is done. Then it takes a last sample,
// delivers it and shuts down the exporters. If Stop was not called, the shutdown takes at most
// five seconds. Run returns an error if an exporter or another part did not end in time.
func (e *Engine) Run(ctx context.Context) error {
	if !e.started.CompareAndSwap(false, true) {
		return ErrStopped
	}
	e.work(ctx)
	return e.err
}

// Start calls [Engine.Run] on a new goroutine. Stop waits for it and returns its error.
func (e *Engine) Start(ctx context.Context) error {
	if !e.started.CompareAndSwap(false, true) {
		return ErrStopped
	}
	go e.work(ctx)
	return nil
}

// Stop makes Run take and deliver a last sample and shut down the exporters, and waits for it.
// It returns by the deadline of ctx even if an exporter hangs; the error then names that
// exporter. ctx must not be the context of Run, which may be done already. Further calls wait
// for the same shutdown. If the engine never ran, Stop only shuts down the exporters.
func (e *Engine) Stop(ctx context.Context) error {
	e.stopOnce.Do(func() {
		e.stopCtx = ctx
		close(e.stop)
	})
	if e.started.CompareAndSwap(false, true) {
		go e.dismiss(ctx)
	}
	select {
	case <-e.done:
		return e.err
	case <-ctx.Done():
	}
	select {
	case <-e.done:
		return e.err
	default:
		return fmt.Errorf("engine: stop: %w", context.Cause(ctx))
	}
}

// Metrics returns the metrics that the next snapshot may have. [Engine.Gauge] adds to them. The
// caller must not change the slice.
func (e *Engine) Metrics() []*runtimeinfo.Metric { return e.catalogue.Load().Metrics() }

// Snapshot returns the newest snapshot, or nil before the first tick. The caller must not
// change it.
func (e *Engine) Snapshot() *runtimeinfo.Snapshot { return e.latest.Load() }

// work calls run under the profiler label and closes e.done.
func (e *Engine) work(ctx context.Context) {
	defer close(e.done)
	pprof.Do(ctx, pprof.Labels(ProfilerLabel, "tick"), func(ctx context.Context) { e.err = e.run(ctx) })
}

func (e *Engine) run(ctx context.Context) error {
	var wg sync.WaitGroup
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	for _, d := range e.deliveries {
		d.Start(background)
	}
	wg.Go(func() { e.host.run(background) })
	wg.Go(func() { e.pulse(background) })
	for _, w := range e.config.background {
		wg.Go(func() { e.background(background, w) })
	}

	e.sample(ctx)

	shutdown, release := e.shutdownContext(ctx)
	defer release()
	last := e.incidents.closeAll(e.tick(time.Now(), 0))
	err := e.stopDeliveries(shutdown, last)
	cancel()
	for _, d := range e.deliveries {
		wg.Go(d.Wait)
	}
	wg.Go(e.calls.Wait)
	return errors.Join(err, waitFor(shutdown, &wg))
}

// dismiss shuts down the exporters of an engine that never ran.
func (e *Engine) dismiss(ctx context.Context) {
	defer close(e.done)
	var wg sync.WaitGroup
	for _, d := range e.deliveries {
		d.Start(context.WithoutCancel(ctx))
		wg.Go(d.Wait)
	}
	shutdown, release := e.shutdownContext(ctx)
	defer release()
	e.err = errors.Join(e.stopDeliveries(shutdown, nil), waitFor(shutdown, &wg))
}

// sample ticks until Stop is called or ctx is done. The first tick is immediate.
func (e *Engine) sample(ctx context.Context) {
	ticker := time.NewTicker(e.config.interval)
	defer ticker.Stop()
	clock := tickClock{origin: time.Now(), interval: e.config.interval}
	e.post(e.tick(clock.origin, 0))
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.stop:
			return
		case <-ticker.C:
			now := time.Now()
			lateness, missed := clock.wake(now)
			e.missed.Add(missed)
			if e.pulses.resting.Load() {
				e.reader.Pulse(lateness)
				e.pulses.tick(now, cputime.Process())
			}
			e.post(e.tick(now, lateness))
		}
	}
}

// tick takes a sample, calls gauges and analyzers, and stores the newest snapshot.
func (e *Engine) tick(now time.Time, lateness time.Duration) *runtimeinfo.Snapshot {
	all, catalogue := e.list()
	pass := e.host.last.Load()
	t := sampler.Tick{Time: now, Lateness: lateness, Span: e.span}
	if pass != nil {
		t.Host = pass.sample
	}
	e.reader.Read(t)
	frame := runtimeinfo.Snapshot{Seq: e.ticks.Load() + 1, Time: now, Ticks: 1, Start: e.start, Resource: e.config.resource}
	if last := e.latest.Load(); last != nil {
		frame.Since = last.Time
	}
	b := e.builder.Reset(catalogue, frame)
	d := b.Draft()
	e.reader.AddTo(d)
	e.addOwn(d, now, pass)
	b.Merge(d)
	b = e.analyze(e.readGauges(b, all))
	d = b.Draft()
	e.incidents.add(d.Snapshot().Events)
	e.incidents.addTo(d)
	b.Merge(d)
	e.builder = b
	s := b.Snapshot()
	e.span = nil
	if i := slices.IndexFunc(s.Spans, func(x runtimeinfo.Span) bool { return x.Sampled }); i >= 0 {
		e.span = &s.Spans[i]
	}
	s.Incidents = slices.Clone(e.incidents.open)
	e.latest.Store(s)
	e.ticks.Add(1)
	e.lastTick.Store(&now)
	e.tickDuration.Store(int64(time.Since(now)))
	return s
}

// post hands a snapshot to every exporter without waiting.
func (e *Engine) post(s *runtimeinfo.Snapshot) {
	for _, d := range e.deliveries {
		d.Post(s)
	}
}

// shutdownContext returns the context of the shutdown. Its deadline is slightly before the
// deadline of Stop, so that Stop can return an error that names the busy exporter.
func (e *Engine) shutdownContext(ctx context.Context) (context.Context, context.CancelFunc) {
	select {
	case <-e.stop:
	default:
		return context.WithTimeoutCause(context.WithoutCancel(ctx), shutdownTimeout, errors.New("engine: the shutdown took longer than 5 s"))
	}
	deadline, ok := e.stopCtx.Deadline()
	if !ok {
		return context.WithCancel(e.stopCtx)
	}
	margin := min(50*time.Millisecond, time.Until(deadline)/10)
	return context.WithDeadline(e.stopCtx, deadline.Add(-margin))
}

// stopDeliveries stops all exporters concurrently. Each receives last, if it is not nil, after
// its pending snapshot.
func (e *Engine) stopDeliveries(ctx context.Context, last *runtimeinfo.Snapshot) error {
	errs := make([]error, len(e.deliveries))
	var wg sync.WaitGroup
	for i, d := range e.deliveries {
		wg.Go(func() { errs[i] = d.Stop(ctx, last) })
	}
	wg.Wait() // each returns when ctx is done
	return errors.Join(errs...)
}

// waitFor waits for wg until ctx is done. A goroutine may be in a call of an exporter or a host
// library that does not return.
func waitFor(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engine: goroutines are still busy: %w", context.Cause(ctx))
	}
}
