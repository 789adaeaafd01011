// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"errors"
	"slices"

	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/sdk/instrumentation"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// emitter emits events with a logger of the application, which may block for as long as
// the application's log exporter does, or panic.
type emitter struct {
	logger  log.Logger
	running *emission // nil if the logger has returned
}

// emission is one call that emits the events of a snapshot.
type emission struct {
	events   []runtimeinfo.Event
	done     chan struct{}           // closed when the logger has returned
	rejected exporters.RejectedError // set before done is closed
}

var errEmitting = errors.New("the LoggerProvider has not returned from Emit")

// newEmitter returns an emitter for p, or nil if p is nil.
func newEmitter(p log.LoggerProvider, s instrumentation.Scope) *emitter {
	if p == nil {
		return nil
	}
	return &emitter{logger: loggerOf(p, s)}
}

func loggerOf(p log.LoggerProvider, s instrumentation.Scope) log.Logger {
	return p.Logger(s.Name, log.WithInstrumentationVersion(s.Version), log.WithSchemaURL(s.SchemaURL))
}

// emit emits the events of s. It returns an error when ctx is done before the logger has
// returned. The agent then exports the events again, and the next call waits for the
// logger and emits only the events that the earlier call did not have. An event for
// which the logger panics is rejected.
func (e *emitter) emit(ctx context.Context, s *runtimeinfo.Snapshot) error {
	events, rejected := s.Events, exporters.RejectedError{}
	if c := e.running; c != nil {
		if err := e.await(ctx); err != nil {
			return err
		}
		rejected = c.rejected
		events = slices.DeleteFunc(slices.Clone(events), c.has)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &emission{events: events, done: make(chan struct{}), rejected: rejected}
	e.running = c
	go c.run(ctx, e.logger, s)
	if err := e.await(ctx); err != nil {
		return err
	}
	if c.rejected.Events > 0 {
		return &c.rejected
	}
	return nil
}

// await waits for the running call. It returns an error when ctx is done before.
func (e *emitter) await(ctx context.Context) error {
	if e.running == nil {
		return nil
	}
	select {
	case <-e.running.done:
		e.running = nil
		return nil
	case <-ctx.Done():
		return errors.Join(errEmitting, ctx.Err())
	}
}

// run emits the events of c.
func (c *emission) run(ctx context.Context, logger log.Logger, s *runtimeinfo.Snapshot) {
	defer close(c.done)
	for i := range c.events {
		x := &c.events[i]
		err := guard.Do(func() error {
			logger.Emit(withSpan(ctx, x), record(s, x))
			return nil
		})
		if err != nil {
			c.rejected.Events++
			c.rejected.Err = err
		}
	}
}

// has reports whether x is one of the events of c.
func (c *emission) has(x runtimeinfo.Event) bool {
	return slices.ContainsFunc(c.events, func(y runtimeinfo.Event) bool {
		return x.Time.Equal(y.Time) && x.Name == y.Name && x.Message == y.Message
	})
}
