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
	// maxPause is the longest pause of Run.
	maxPause = time.Hour
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
		for sleep(ctx, r.cycle(ctx)) {
		}
	})
}

// Window returns the analysis of the last recording of [Recorder.Run], or nil before
// the first one.
func (r *Recorder) Window() *Window { return r.window.Load() }

// cycle records for one period and reads the recording. It returns the pause before
// the next cycle.
func (r *Recorder) cycle(ctx context.Context) (pause time.Duration) {
	start := time.Now()
	fresh, err := r.startRun(ctx)
	if err != nil {
		_ = r.count(err)
		return r.config.Every
	}
	rate, reading, ok := r.recordWindow(ctx, start, fresh)
	recorded := time.Since(start)
	period := r.config.period(rate, recorded, reading)
	exceeded := !ok || period > r.config.Every
	if !exceeded && r.config.Mode == Always {
		return 0
	}
	r.stopRun(ctx)
	if exceeded && ctx.Err() == nil {
		r.inc(&r.stats.StepsBack)
	}
	if ok {
		period -= recorded
	}
	return period
}

// recordWindow records for the length that the configuration says, and analyzes the
// recording. It returns the number of bytes recorded per second and the time that the
// analysis took. ok is false if a limit is exceeded.
func (r *Recorder) recordWindow(ctx context.Context, start time.Time, fresh bool) (rate float64, reading time.Duration, ok bool) {
	if runtime.NumGoroutine() > r.config.MaxGoroutines {
		return 0, 0, false
	}
	most := float64(r.config.MaxRate)
	if fresh {
		sleep(ctx, probe)
		if rate = float64(r.size(ctx)) / time.Since(start).Seconds(); rate > most {
			return rate, 0, false
		}
	}
	length := r.config.Every
	if r.config.Mode == DutyCycle {
		length = r.config.For
	}
	if !sleep(ctx, length-time.Since(start)) {
		return rate, 0, true
	}
	rate, reading, err := r.read(ctx)
	if r.count(err) != nil {
		return most, reading, false // the rate is unknown
	}
	return rate, reading, rate <= most
}

// period returns the time in which MaxShare covers the cost of recording at a rate and of
// reading, at least Every.
func (c Config) period(rate float64, recorded, reading time.Duration) time.Duration {
	cost := rate/bytesPerEvent*costPerEvent.Seconds()*recorded.Seconds() + reading.Seconds()
	return max(c.Every, time.Duration(min(cost/c.MaxShare, maxPause.Seconds())*float64(time.Second)))
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

// read analyzes what the flight recorder contains. It returns the number of bytes recorded
// per second and the time that the analysis took.
func (r *Recorder) read(ctx context.Context) (rate float64, reading time.Duration, err error) {
	if err := r.acquire(ctx); err != nil {
		return 0, 0, err
	}
	defer r.release()
	recorded, err := r.snapshot(ctx)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	w, err := Analyze(ctx, bytes.NewReader(recorded), r.config.MaxEvents, nil)
	reading = time.Since(start)
	if err != nil {
		return 0, reading, err
	}
	r.window.Store(w)
	r.addRoots(w.Roots)
	return float64(len(recorded)) / max(probe, w.Duration).Seconds(), reading, nil
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
