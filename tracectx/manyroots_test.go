// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/tracectx"
)

// TestManyRoots starts a million roots, half of which the sampler drops. They end in any
// order, on other goroutines, twice or never. Meanwhile another goroutine observes, and a
// provider shuts down. observe checks that the counts add up; at the end, each root has
// counted once.
func TestManyRoots(t *testing.T) {
	const goroutines = 8
	each := 125_000
	if testing.Short() || testutil.RaceEnabled {
		each = 6_000
	}
	p := newProcessor(t, tracectx.Config{Capacity: 1 << 16, History: tracectx.NewHistory(0), TTL: time.Hour})
	sampler := sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.5)))
	tracer := p.WrapTracerProvider(newProvider(t, sampler)).Tracer("")
	short := newProvider(t, sampler)
	second := p.WrapTracerProvider(short).Tracer("")

	elsewhere := make(chan trace.Span, 64) // spans to be ended by another goroutine
	var lost sync.Map                      // spans never ended, by goroutine
	var wg, enders sync.WaitGroup
	for range 2 {
		enders.Go(func() {
			for span := range elsewhere {
				span.End()
			}
		})
	}
	for g := range goroutines {
		wg.Go(func() { lost.Store(g, startRoots(tracer, uint64(g), each, elsewhere)) })
	}
	observed := make(chan struct{})
	wg.Go(func() {
		defer close(observed)
		for range 200 {
			observe(t, p)
		}
	})
	var late int
	wg.Go(func() {
		for range 500 {
			_, span := second.Start(context.Background(), "second")
			span.End()
			late++
		}
		if err := short.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		for range 500 { // of a provider that has shut down
			_, span := second.Start(context.Background(), "late")
			span.End()
		}
	})
	wg.Wait()
	close(elsewhere)
	enders.Wait()

	active := 0
	lost.Range(func(_, n any) bool {
		active += n.(int)
		return true
	})
	c, _ := observe(t, p)
	// Spans of a provider that has shut down may have ids.
	least := uint64(goroutines*each + late)
	if c.active != active || c.started < least || c.started > least+500 || c.ended != c.started-uint64(active) || c.untracked != 0 {
		t.Errorf("%+v: want %d roots, %d never ended", c, least, active)
	}
}

// startRoots starts n roots and returns how many it never ends.
func startRoots(tracer trace.Tracer, seed uint64, n int, elsewhere chan<- trace.Span) (lost int) {
	r := rand.New(rand.NewPCG(seed, 1))
	open := make([]trace.Span, 0, 32)
	for range n {
		ctx, span := tracer.Start(context.Background(), "root")
		if r.IntN(4) == 0 {
			_, child := tracer.Start(ctx, "child")
			child.End()
		}
		switch r.IntN(1000) {
		case 0:
			lost++
			continue
		case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10:
			elsewhere <- span
			continue
		default:
			open = append(open, span)
		}
		for len(open) > 0 && (len(open) == cap(open) || r.IntN(3) > 0) {
			i := r.IntN(len(open))
			open[i].End()
			if r.IntN(50) == 0 {
				open[i].End()
			}
			open[i] = open[len(open)-1]
			open = open[:len(open)-1]
		}
	}
	for _, span := range open {
		span.End()
	}
	return lost
}
