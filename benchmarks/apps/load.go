// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// load sends units to a server at a fixed rate until it is stopped.
type load struct {
	cancel context.CancelCauseFunc
	ctx    context.Context //nolint:containedctx // the life of the load
	wg     sync.WaitGroup
	units  atomic.Uint64
	late   atomic.Uint64 // sends that began more than a period late
}

// startLoad connects the workers of a and starts them.
func startLoad(a app, address string, rate float64) (*load, error) {
	l := &load{}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	var sends []func() (int, error)
	for worker := range a.workers {
		send, err := a.dial(address, worker)
		if err != nil {
			return nil, err
		}
		units, err := send()
		if err != nil {
			return nil, fmt.Errorf("the first %s: %w", a.unit, err)
		}
		sends = append(sends, send)
		l.units.Add(uint64(units)) //nolint:gosec // not negative
	}
	for worker, send := range sends {
		l.wg.Go(func() { l.work(send, rate/float64(a.workers), float64(worker)/float64(a.workers)) })
	}
	return l, nil
}

// work sends at a rate of units a second. It begins at a phase from 0 to 1 of its period.
func (l *load) work(send func() (int, error), rate, phase float64) {
	units, err := send() // for the number of units in a send
	period := time.Duration(float64(max(units, 1)) / rate * float64(time.Second))
	next := time.Now().Add(time.Duration(phase * float64(period)))
	for ; err == nil && l.ctx.Err() == nil; next = next.Add(period) {
		wait := time.Until(next)
		if wait < -period {
			l.late.Add(1)
		}
		if wait < -time.Second { // the machine was away: do not catch up
			next = time.Now()
		}
		time.Sleep(wait)
		units, err = send()
		l.units.Add(uint64(units)) //nolint:gosec // not negative
	}
	l.cancel(err)
}

// err returns why the load ended by itself, or nil.
func (l *load) err() error {
	if l.ctx.Err() == nil {
		return nil
	}
	return context.Cause(l.ctx)
}

// stop ends the load and waits for its workers.
func (l *load) stop() {
	l.cancel(nil)
	l.wg.Wait()
}
