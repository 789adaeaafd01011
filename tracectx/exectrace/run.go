// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/gmpulse/gmpulse/internal/agentlabel"
)

const (
	// probe is how long Run records before it measures the rate the first time: an
	// excessive rate must not last for seconds.
	probe = 100 * time.Millisecond
	// keep is the age of the events that Always keeps. A batch span processor exports
	// five seconds after the first span of a batch has ended.
	keep = 10 * time.Second
)

// Run records as [Config.Mode] says until ctx is done. Then it stops the flight
// recorder and returns. If the flight recorder is in use, Run tries again after
// [Config.Every]. With [Off], Run returns at once. Call Run once, in a goroutine.
func (r *Recorder) Run(ctx context.Context) {
	if r.config.Mode == Off {
		return
	}
	pprof.Do(ctx, pprof.Labels(agentlabel.Key, "exectrace"), func(ctx context.Context) {
		defer r.stopRun(ctx)
		g := governor{config: r.config}
		for sleep(ctx, r.cycle(ctx, &g)) {
		}
	})
}

// Window returns the analysis of the last recording of [Recorder.Run], or nil before
// the first one.
func (r *Recorder) Window() *Window { return r.window.Load() }

// cycle records for one period and reads the recording. It returns the pause before
// the next cycle.
func (r *Recorder) cycle(ctx context.Context, g *governor) (pause time.Duration) {
	start := time.Now()
	fresh, err := r.startRun(ctx)
	if err != nil {
		_ = r.count(err)
		return r.config.Every
	}
	l := load{goroutines: runtime.NumGoroutine()}
	if fresh && l.goroutines <= r.config.MaxGoroutines {
		sleep(ctx, probe)
		l.rate = float64(r.size(ctx)) / time.Since(start).Seconds()
	}
	if !g.allows(l) {
		return r.pause(ctx, g)
	}
	length := r.config.Every
	if r.config.Mode == DutyCycle {
		length = r.config.For
	}
	if !sleep(ctx, length-time.Since(start)) {
		return 0
	}
	l, err = r.read(ctx)
	if r.count(err) != nil || !g.allows(l) {
		return r.pause(ctx, g)
	}
	g.pauses = 0
	if r.config.Mode == Always {
		return 0
	}
	r.stopRun(ctx)
	return r.config.Every - time.Since(start)
}

// pause stops recording and returns the length of the pause.
func (r *Recorder) pause(ctx context.Context, g *governor) time.Duration {
	if ctx.Err() == nil {
		r.inc(&r.stats.StepsBack)
	}
	r.stopRun(ctx)
	return g.pause()
}

// startRun makes Run a user of the flight recorder. It reports whether the flight
// recorder was off.
func (r *Recorder) startRun(ctx context.Context) (fresh bool, err error) {
	if err := r.acquire(ctx); err != nil {
		return false, err
	}
	defer r.release()
	if r.formatErr != nil || r.runningSince.Load() != 0 {
		return false, r.formatErr
	}
	if fresh, err = r.addUser(max(keep+r.config.SlowerThan, r.config.For)); err != nil {
		return false, err
	}
	r.runningSince.Store(time.Now().UnixNano())
	return fresh, nil
}

// stopRun undoes startRun, also if ctx is done.
func (r *Recorder) stopRun(ctx context.Context) {
	if r.acquire(context.WithoutCancel(ctx)) != nil {
		return
	}
	defer r.release()
	if r.runningSince.Swap(0) != 0 {
		r.removeUser()
	}
}

// size returns the number of bytes in the flight recorder.
func (r *Recorder) size(ctx context.Context) int {
	if r.acquire(ctx) != nil {
		return 0
	}
	defer r.release()
	n, _ := r.flight.WriteTo(io.Discard) // without an error
	return int(n)
}

// read analyzes what the flight recorder contains, and returns the cost.
func (r *Recorder) read(ctx context.Context) (l load, err error) {
	if err := r.acquire(ctx); err != nil {
		return l, err
	}
	defer r.release()
	recorded, err := r.snapshot(ctx)
	if err != nil {
		return l, err
	}
	start := time.Now()
	w, err := Analyze(ctx, bytes.NewReader(recorded), r.config.MaxEvents, nil)
	if err != nil {
		return l, err
	}
	r.window.Store(w)
	r.addRoots(w.Roots)
	return load{
		goroutines: runtime.NumGoroutine(),
		rate:       float64(len(recorded)) / max(probe, w.Duration).Seconds(),
		reading:    time.Since(start),
	}, nil
}

// addRoots adds the root spans of a window to the totals.
func (r *Recorder) addRoots(window []RootWindow) {
	r.statsMu.Lock()
	defer r.statsMu.Unlock()
	for i := range window {
		r.totals.of(window[i].Name).Self.add(&window[i].Self)
	}
}

// sleep waits for d and reports whether ctx is not done.
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
