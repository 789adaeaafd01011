// SPDX-License-Identifier: Apache-2.0

// Package otlpprofiles sends profiles of runtime/pprof as OTLP profiles over HTTP:
//
//	e, err := otlpprofiles.New(otlpprofiles.Config{})    // OTEL_EXPORTER_OTLP_ENDPOINT and the like
//	a, err := agent.Start(
//		agent.WithProfiler(&profiler.Config{Sink: e.Enqueue}),                 // which profiles
//		agent.WithQueue("profiles", e, e.ExporterStats, engine.EveryTick()))   // e needs the resource and the spans
//
// The package is alpha: so is the signal, whose protocol has changed incompatibly before. It speaks version
// 1.11 of opentelemetry-proto (v1development), which has the fields of 1.10 on the wire. A server of an earlier
// version may accept profiles and show nothing. It is tested with the receiver of the OpenTelemetry Collector
// 0.162. A Collector needs the feature gate service.profilesSupport.
//
// # What is sent
//
// Each type of sample of a profile becomes one OTLP profile. A CPU profile becomes two: samples/count and
// cpu/nanoseconds. A sample has these attributes:
//
//   - gmpulse.root_span, the local root span under which its goroutine was created ([RootAttribute]);
//   - relation, which is "concurrent", if the sample has a link to a span;
//   - the other profiler labels of the application, and the size of a block in a heap profile.
//
// The link leads to an example: a sampled span of that root that was active during the profile. A profile has
// no ids of spans, so the sample was taken under that span or another one of the same name. Of the spans that
// were active at a tick of the agent, it is the one that was active longest. Samples of short requests
// may therefore have no link.
//
// Samples that differ only in the label [tracectx.EpochLabel] are added. The sum of the values of each type is
// the same as in the profile.
//
// # Delivery
//
// [Exporter.Enqueue] adds a profile to a queue in memory and never blocks. A goroutine converts and sends one
// profile after another, each over its own connection. The first one waits up to a second for the first snapshot
// of the agent, which has the resource. The goroutine tries again after network errors and the answers 429,
// 502, 503 and 504, with growing pauses or as Retry-After says. When the queue is full, the oldest profile is
// dropped and counted.
package otlpprofiles

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Exporter sends profiles. Create one with [New]. It implements [exporters.Exporter], so that an agent gives it
// the resource and the active spans; without an agent, it sends the resource of the OpenTelemetry SDK. Its
// methods are safe for concurrent use.
type Exporter struct {
	config   Config
	examples examples
	snapshot atomic.Pointer[runtimeinfo.Snapshot] // the newest; nil before the first

	first   chan struct{} // closed when there is a snapshot
	wake    chan struct{} // capacity 1: a profile is in the queue
	closing chan struct{} // closed by Shutdown
	done    chan struct{} // closed when run returns

	mu          sync.Mutex
	queue       []*item
	bytes       int64 // of queue
	stats       exporters.Stats
	toldPartial bool
	cancel      context.CancelFunc // of run; nil before the first profile
	down        bool
}

var _ exporters.Exporter = (*Exporter)(nil)

// item is a profile on its way.
type item struct {
	kind     string
	start    time.Time     // zero: the time in data
	duration time.Duration // 0: the duration in data
	data     []byte        // what runtime/pprof wrote, compressed or not; nil after it is encoded
	accepted time.Time
	body     []byte // the request, nil before it is encoded
	profiles int    // how many OTLP profiles body has
}

func (x *item) size() int64 { return int64(len(x.data) + len(x.body)) }

// New returns an Exporter, or an error that names every invalid field and variable. It makes no connection.
func New(c Config) (*Exporter, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	c.Logger = c.Logger.With(slog.String("exporter", "otlpprofiles"))
	return &Exporter{
		config: c,
		first:  make(chan struct{}), wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
		stats: exporters.Stats{Name: "otlpprofiles", State: exporters.StateIdle},
	}, nil
}

// Export takes the resource and the active spans of s. It sends nothing.
func (e *Exporter) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("otlpprofiles: %w", context.Cause(ctx))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down {
		return exporters.ErrShutdown
	}
	e.stats.Snapshots.Accepted++
	e.stats.Snapshots.Delivered++
	e.stats.Events.Accepted += uint64(len(s.Events))
	e.stats.Events.Delivered += uint64(len(s.Events))
	if e.snapshot.Swap(s) == nil {
		close(e.first)
	}
	e.examples.add(s)
	return nil
}

// Enqueue adds a profile that covers the time from one to another to the queue and returns at once. kind is its name,
// for example "cpu", "heap" or "mutex", which becomes the attribute [KindAttribute]: mutex and block profiles have the
// same types of samples. A zero time is taken from the profile. data is what runtime/pprof wrote, and must not change
// afterwards. If the profile does not fit, the oldest ones are dropped. After Shutdown the profile is dropped.
func (e *Exporter) Enqueue(kind string, from, to time.Time, data []byte) {
	x := &item{kind: kind, start: from, data: data, accepted: time.Now()}
	if !from.IsZero() && to.After(from) {
		x.duration = to.Sub(from)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Snapshots.Accepted++
	if e.down {
		e.stats.Snapshots.Drop(exporters.DropShutdown, 1)
		return
	}
	e.queue = append(e.queue, x)
	e.bytes += x.size()
	e.shrink()
	if e.cancel == nil {
		ctx, cancel := context.WithCancel(context.Background())
		e.cancel = cancel
		go e.run(ctx) // Shutdown waits for done
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// shrink drops the oldest profiles until the rest fits. e.mu is held.
func (e *Exporter) shrink() {
	for e.bytes > e.config.MaxBytes {
		e.bytes -= e.queue[0].size()
		e.queue[0] = nil
		e.queue = e.queue[1:]
		e.stats.Snapshots.Drop(exporters.DropOverflow, 1)
	}
}

// shutdownTimeout bounds [Exporter.Shutdown] if its context has no deadline.
const shutdownTimeout = 10 * time.Second

// Shutdown sends the profiles in the queue until shortly before the deadline of ctx, or for 10 s if it has none.
// The rest is dropped and counted. Further calls wait likewise.
func (e *Exporter) Shutdown(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, shutdownTimeout, errors.New("no deadline was given"))
		defer cancel()
	}
	e.mu.Lock()
	if !e.down {
		e.down = true
		close(e.closing)
	}
	cancel := e.cancel
	if cancel == nil {
		e.stats.State = exporters.StateStopped
	}
	e.mu.Unlock()
	if cancel == nil {
		return nil
	}
	deadline, _ := ctx.Deadline()
	margin := min(time.Until(deadline)/4, time.Second)
	select {
	case <-e.done:
		return nil
	case <-time.After(time.Until(deadline) - margin):
	case <-ctx.Done():
	}
	cancel()
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("otlpprofiles: a profile is still being sent: %w", context.Cause(ctx))
	}
}

// ExporterStats returns the statistics for [engine.WithQueue]. Snapshots counts the snapshots, which are
// delivered at once, and the profiles. Events counts the events of the snapshots. Spool has the size of the queue.
//
// [engine.WithQueue]: https://pkg.go.dev/github.com/gmpulse/gmpulse/agent/engine#WithQueue
func (e *Exporter) ExporterStats() exporters.Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	s.Snapshots.Pending = s.Snapshots.Accepted - s.Snapshots.Delivered - s.Snapshots.Lost()
	s.Spool = &exporters.SpoolStats{Bytes: e.bytes}
	if len(e.queue) > 0 {
		s.Spool.OldestAge = time.Since(e.queue[0].accepted)
	}
	return s
}
