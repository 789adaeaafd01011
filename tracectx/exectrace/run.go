// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"bytes"
	"context"
	"runtime"
	"runtime/pprof"
	"time"
)

// profilerLabel marks goroutines of the agent's own, as package engine does.
const profilerLabel = "gmpulse"

const (
	// probe is how long a recording runs before its rate is looked at: what is
	// too much must not run for seconds.
	probe = 100 * time.Millisecond
	// flightAge is what [Always] keeps: a batch of spans is exported five seconds
	// after the first of them has ended.
	flightAge = 10 * time.Second
)

// Run records as [Config.Mode] says, until ctx is done; it then stops the recorder
// and returns. Where somebody else holds the recorder it steps aside and tries
// again after [Config.Every]. With [Off] it returns at once. Call it once, on a goroutine
// of its own.
func (r *Recorder) Run(ctx context.Context) {
	if r.config.Mode == Off {
		return
	}
	pprof.Do(ctx, pprof.Labels(profilerLabel, "exectrace"), func(ctx context.Context) {
		defer r.land(ctx)
		g := governor{config: r.config}
		for {
			if !sleep(ctx, r.cycle(ctx, &g)) {
				return
			}
		}
	})
}

// Window returns what the last recording of [Recorder.Run] says, nil before the
// first.
func (r *Recorder) Window() *Window { return r.window.Load() }

// cycle records for a while and looks at what it has. It returns the time to
// the next one.
func (r *Recorder) cycle(ctx context.Context, g *governor) (pause time.Duration) {
	start := time.Now()
	fresh, err := r.takeOff(ctx)
	if err != nil {
		_ = r.settle(err)
		return r.config.Every
	}
	l := load{goroutines: runtime.NumGoroutine()}
	if fresh && l.goroutines <= r.config.MaxGoroutines {
		sleep(ctx, probe)
		l.rate = float64(r.size(ctx)) / time.Since(start).Seconds()
	}
	if !g.affords(l) {
		return r.stepBack(ctx, g)
	}
	until := r.config.Every
	if r.config.Mode == DutyCycle {
		until = r.config.For
	}
	if !sleep(ctx, until-time.Since(start)) {
		return 0
	}
	l, err = r.look(ctx)
	if r.settle(err) != nil || !g.affords(l) {
		return r.stepBack(ctx, g)
	}
	g.forward()
	if r.config.Mode == Always {
		return 0
	}
	r.land(ctx)
	return r.config.Every - time.Since(start)
}

// stepBack stops recording, and returns for how long.
func (r *Recorder) stepBack(ctx context.Context, g *governor) time.Duration {
	if ctx.Err() == nil {
		r.counts.stepsBack.Add(1)
	}
	r.land(ctx)
	return g.back()
}

// takeOff makes Run a user of the recorder, unless it is one. It reports whether
// the recorder was off.
func (r *Recorder) takeOff(ctx context.Context) (fresh bool, err error) {
	if err := r.take(ctx); err != nil {
		return false, err
	}
	defer r.release()
	if r.alien != nil || r.runs {
		return false, r.alien
	}
	if fresh, err = r.join(max(flightAge+r.config.SlowerThan, r.config.For)); err != nil {
		return false, err
	}
	r.runs = true
	r.since.Store(time.Now().UnixNano())
	return fresh, nil
}

// land ends Run's use of the recorder, if any, even if ctx is done.
func (r *Recorder) land(ctx context.Context) {
	if r.take(context.WithoutCancel(ctx)) != nil {
		return
	}
	defer r.release()
	if r.runs {
		r.runs = false
		r.since.Store(0)
		r.part()
	}
}

// size returns how many bytes the recorder has.
func (r *Recorder) size(ctx context.Context) int {
	if r.take(ctx) != nil {
		return 0
	}
	defer r.release()
	var w meter
	_, _ = r.flight.WriteTo(&w) // the meter takes everything
	return int(w)
}

// look reads what the recorder has.
func (r *Recorder) look(ctx context.Context) (l load, err error) {
	if err := r.take(ctx); err != nil {
		return l, err
	}
	defer r.release()
	recorded, err := r.record(ctx)
	if err != nil {
		return l, err
	}
	start := time.Now()
	w, err := Analyze(ctx, bytes.NewReader(recorded), r.config.MaxEvents, nil)
	if err != nil {
		return l, err
	}
	r.window.Store(w)
	r.exact.add(w)
	return load{
		goroutines: runtime.NumGoroutine(),
		rate:       float64(len(recorded)) / max(probe, w.Duration).Seconds(),
		reading:    time.Since(start),
	}, nil
}

// sleep waits and tells whether ctx is still not done.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(0, d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}

// meter counts what is written to it.
type meter int

func (m *meter) Write(p []byte) (int, error) {
	*m += meter(len(p))
	return len(p), nil
}
