// SPDX-License-Identifier: Apache-2.0

// Package engine takes samples, has analyzers complete them and delivers them to exporters.
// It links no client of a backend.
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer stop()
//	e, err := engine.New(engine.WithExporter("log", exporters.Log(nil)))
//	if err != nil { ... }
//	if err := e.Start(ctx); err != nil { ... }
//	serve(ctx) // the program, until ctx is done
//	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
//	defer cancel()
//	err = e.Stop(end)
//
// When ctx is done, the engine takes and delivers a last sample. Stop waits for that; it
// needs a context of its own, because ctx is done.
//
// Most programs call agent.Start, which is New with the standard exporters and
// what the environment asks for. Use this package where binary size or init-time
// side effects of client libraries matter.
//
// # Cost
//
// At the default interval of one second the engine uses a few microseconds for
// the sample, eleven looks at the scheduler of some 0.2 µs each and, every ten
// seconds, a host pass of less than a millisecond on a goroutine of its own.
package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine/internal/delivery"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/sampler"
)

// ErrStopped is what Run and Start return when the engine was stopped before it ran, or
// runs, or ran before.
var ErrStopped = errors.New("engine: it was stopped, runs, or ran already; an engine runs once, make a new one")

// ProfilerLabel is the pprof label of every goroutine that the agent starts. It separates
// the cost of the agent from the application's.
const ProfilerLabel = delivery.ProfilerLabel

// shutdownTimeout limits the shutdown when the context of Run is cancelled and Stop is not
// called.
const shutdownTimeout = 5 * time.Second

// Engine samples the process and hands the snapshots to exporters. Make one
// with [New]; it runs once. All methods may be called from any goroutine.
type Engine struct {
	config     config
	start      time.Time
	reader     *sampler.Reader
	host       hostLoop
	gauges     gauges
	analyzers  []*task
	deliveries []*delivery.Delivery
	calls      sync.WaitGroup // goroutines that call gauges and analyzers
	catalogue  atomic.Pointer[runtimeinfo.Catalogue]
	latest     atomic.Pointer[runtimeinfo.Snapshot]
	builder    *runtimeinfo.Builder // of the last snapshot; only the tick uses it
	span       *runtimeinfo.Span    // the oldest sampled one of the last snapshot; only the tick uses it

	ticks        atomic.Uint64
	missed       atomic.Uint64
	tickDuration atomic.Int64 // nanoseconds
	lastTick     atomic.Pointer[time.Time]

	stopOnce sync.Once
	stop     chan struct{}   // closed by Stop
	stopCtx  context.Context //nolint:containedctx // the deadline of Stop, which Run's goroutine obeys; set before stop is closed
	started  atomic.Bool
	done     chan struct{} // closed when Run has returned
	err      error         // of Run; set before done is closed
}

// New checks the options and assembles an engine. It starts nothing and opens
// nothing. The error joins everything that is wrong.
func New(opts ...Option) (*Engine, error) {
	c := defaultConfig()
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
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	e.host.init(c)
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
		e.deliveries = append(e.deliveries, delivery.New(x.name, x.exporter, x.queue, c.exportTimeout, c.logger))
	}
	return e, nil
}

// Run samples until Stop is called or ctx is done; then it takes a last sample,
// delivers it, and shuts the exporters down. It blocks meanwhile and returns
// what kept it from ending in time, if anything.
func (e *Engine) Run(ctx context.Context) error {
	if !e.started.CompareAndSwap(false, true) {
		return ErrStopped
	}
	e.work(ctx)
	return e.err
}

// Start is Run on a goroutine of its own, which Stop waits for.
func (e *Engine) Start(ctx context.Context) error {
	if !e.started.CompareAndSwap(false, true) {
		return ErrStopped
	}
	go e.work(ctx)
	return nil
}

// Stop ends Run or Start: a last sample is taken and delivered, and the exporters are
// shut down. It returns by the deadline of ctx even if an exporter hangs; the error then
// names that exporter. Further calls wait for the same shutdown. On an engine that never
// ran, Stop takes no sample but shuts the exporters down.
func (e *Engine) Stop(ctx context.Context) error {
	e.stopOnce.Do(func() {
		e.stopCtx = ctx
		close(e.stop)
	})
	if e.started.CompareAndSwap(false, true) {
		go e.dismiss(ctx) // e.done is waited for below
	}
	select {
	case <-e.done:
		return e.err
	case <-ctx.Done():
	}
	select {
	case <-e.done: // both at once: the end is what counts
		return e.err
	default:
		return fmt.Errorf("engine: stop: %w", context.Cause(ctx))
	}
}

// Snapshot returns the newest snapshot, or nil before the first tick.
func (e *Engine) Snapshot() *runtimeinfo.Snapshot { return e.latest.Load() }

// work is the life of the engine, under its profiler label.
func (e *Engine) work(ctx context.Context) {
	defer close(e.done)
	pprof.Do(ctx, pprof.Labels(ProfilerLabel, "tick"), func(ctx context.Context) { e.err = e.run(ctx) })
}

func (e *Engine) run(ctx context.Context) error {
	var wg sync.WaitGroup
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	for _, d := range e.deliveries {
		wg.Go(func() { d.Run(background) })
	}
	wg.Go(func() { e.host.run(background) })
	wg.Go(func() { e.pulse(background) })
	for _, w := range e.config.background {
		wg.Go(func() { e.background(background, w) })
	}

	e.sample(ctx)

	shutdown, release := e.shutdownContext(ctx)
	defer release()
	last := e.tick(time.Now(), 0)
	err := e.stopDeliveries(shutdown, last)
	cancel()
	wg.Go(e.calls.Wait)
	return errors.Join(err, waitFor(shutdown, &wg))
}

// dismiss shuts the exporters of an engine down that never ran: they may hold
// something since they were made.
func (e *Engine) dismiss(ctx context.Context) {
	defer close(e.done)
	var wg sync.WaitGroup
	for _, d := range e.deliveries {
		wg.Go(func() { d.Run(context.WithoutCancel(ctx)) })
	}
	shutdown, release := e.shutdownContext(ctx)
	defer release()
	e.err = errors.Join(e.stopDeliveries(shutdown, nil), waitFor(shutdown, &wg))
}

// sample ticks until it is time to stop. The first tick is immediate.
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
			e.post(e.tick(now, lateness))
		}
	}
}

// pulse looks at the scheduler between ticks.
func (e *Engine) pulse(ctx context.Context) {
	if e.config.interval <= pulseInterval {
		return // every tick is a pulse
	}
	pprof.Do(ctx, pprof.Labels(ProfilerLabel, "pulse"), func(ctx context.Context) {
		ticker := time.NewTicker(pulseInterval)
		defer ticker.Stop()
		clock := tickClock{origin: time.Now(), interval: pulseInterval}
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				lateness, _ := clock.wake(time.Now())
				e.reader.Pulse(lateness)
			}
		}
	})
}

// tick takes a sample, completes it and makes it the newest snapshot.
func (e *Engine) tick(now time.Time, lateness time.Duration) *runtimeinfo.Snapshot {
	all, catalogue := e.list()
	pass := e.host.last.Load()
	t := sampler.Tick{Time: now, Lateness: lateness, Span: e.span}
	if pass != nil {
		t.Host = pass.sample
	}
	e.reader.Read(t)
	b := runtimeinfo.NewBuilder(catalogue, runtimeinfo.Snapshot{
		Seq: e.ticks.Load() + 1, Time: now, Start: e.start, Resource: e.config.resource,
	}, e.builder)
	d := b.Draft()
	e.reader.AddTo(d)
	e.addOwn(d, now, pass)
	b.Merge(d)
	b = e.analyze(e.readGauges(b, all))
	e.builder = b
	s := b.Snapshot()
	e.span = nil
	if i := slices.IndexFunc(s.Spans, func(x runtimeinfo.Span) bool { return x.Sampled }); i >= 0 {
		e.span = &s.Spans[i]
	}
	e.latest.Store(s)
	e.ticks.Add(1)
	e.lastTick.Store(&now)
	e.tickDuration.Store(int64(time.Since(now)))
	return s
}

// post gives a snapshot to every exporter. It waits for none.
func (e *Engine) post(s *runtimeinfo.Snapshot) {
	for _, d := range e.deliveries {
		d.Post(s)
	}
}

// shutdownContext returns the context of the shutdown. Its deadline is a little before
// that of Stop, so that Stop can name the exporter that is still busy.
func (e *Engine) shutdownContext(ctx context.Context) (context.Context, context.CancelFunc) {
	select {
	case <-e.stop:
	default:
		return context.WithTimeoutCause(context.WithoutCancel(ctx), shutdownTimeout, errors.New("engine: shutdown took longer than 5 s"))
	}
	deadline, ok := e.stopCtx.Deadline()
	if !ok {
		return context.WithCancel(e.stopCtx)
	}
	margin := min(50*time.Millisecond, time.Until(deadline)/10)
	return context.WithDeadline(e.stopCtx, deadline.Add(-margin))
}

// stopDeliveries stops all exporters at once. Each gets last, nil for nothing, after
// what it has not read yet.
func (e *Engine) stopDeliveries(ctx context.Context, last *runtimeinfo.Snapshot) error {
	errs := make([]error, len(e.deliveries))
	var wg sync.WaitGroup
	for i, d := range e.deliveries {
		wg.Go(func() { errs[i] = d.Stop(ctx, last) })
	}
	wg.Wait() // bounded: each returns when ctx is done
	return errors.Join(errs...)
}

// waitFor waits for the engine's goroutines, but not longer than ctx: one may be
// inside an exporter or a host library that does not return.
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
