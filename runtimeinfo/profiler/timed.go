// SPDX-License-Identifier: Apache-2.0

package profiler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/internal/profiles"
)

const (
	// firstInterval is the time between the first two heap and goroutine profiles. It doubles
	// until regularInterval.
	firstInterval   = time.Minute
	regularInterval = 10 * time.Minute
	// minInterval is the minimum time between two of them when incidents open.
	minInterval = time.Minute
	// maxGoroutines is the number of goroutines above which there is no goroutine profile. It takes
	// 3.5 µs of CPU time for each.
	maxGoroutines = 100_000
	// maxShare is the share of one core that heap and goroutine profiles may use on average.
	maxShare = 0.0005
	// heapNeeds is the memory that a heap profile may take.
	heapNeeds = 16 << 20
)

// repeat takes heap and goroutine profiles regularly, and when an incident opens, until ctx is done.
func (p *Profiler) repeat(ctx context.Context) {
	interval := firstInterval
	for {
		began := time.Now()
		cost := p.takeRuntime(ctx, Heap) + p.takeRuntime(ctx, Goroutine)
		wait := max(interval, time.Duration(float64(cost)/maxShare))
		if profiles.Wait(ctx, p.opened, wait) != nil || profiles.Wait(ctx, nil, time.Until(began.Add(minInterval))) != nil {
			return
		}
		interval = min(2*interval, regularInterval)
	}
}

// takeRuntime stores a heap or goroutine profile, or counts why it could not. It returns the CPU time.
func (p *Profiler) takeRuntime(ctx context.Context, k Kind) (cost time.Duration) {
	if ctx.Err() != nil || p.broken && k == Goroutine {
		return 0
	}
	n := runtime.NumGoroutine()
	needs := int64(heapNeeds)
	if k == Goroutine {
		needs = headroom.Goroutines(n)
		if n > maxGoroutines {
			p.count(missedTooMany)
			return 0
		}
	}
	err := p.fits(needs)
	if err != nil && !p.short[k] {
		p.config.Logger.Warn("gmpulse: no profile was taken", slog.String("kind", string(k)), slog.Any("error", err))
	}
	if p.short[k] = err != nil; err != nil {
		p.count(missedMemory)
		return 0
	}
	meter := cputime.Start()
	defer func() {
		cost = meter.Stop()
		p.spend(cost)
	}()
	var b bytes.Buffer
	if err := profiles.Write(&b, string(k), false); err != nil {
		p.count(missedFailed)
		if errors.Is(err, profiles.ErrProfiler) { // another attempt may be fatal
			p.broken = true
			p.config.Logger.Warn("gmpulse: goroutine profiles are not taken any more", slog.Any("error", err))
		}
		return 0
	}
	now := time.Now()
	p.store(&Profile{Kind: k, From: now, To: now}, b.Bytes())
	return 0
}

func (p *Profiler) count(why missReason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.missed[why]++
}

// store adds a profile to the history and passes it to the sink.
func (p *Profiler) store(x *Profile, data []byte) {
	p.storing.Lock()
	err := p.history.add(x, data)
	changed := (err != nil) != p.diskFails
	p.diskFails = err != nil
	p.pass(x, data)
	p.storing.Unlock()
	p.mu.Lock()
	p.stats.taken[x.Kind]++
	p.mu.Unlock()
	switch {
	case changed && err != nil:
		p.config.Logger.Warn("gmpulse: profiles are kept in memory, because the directory is not writable", slog.String("dir", p.config.Dir), slog.Any("error", fmt.Errorf("profiler: %w", err)))
	case changed:
		p.config.Logger.Info("gmpulse: profiles are stored on disk again", slog.String("dir", p.config.Dir))
	}
}

// pass calls the sink. The caller holds storing.
func (p *Profiler) pass(x *Profile, data []byte) {
	if p.config.Sink == nil || p.sinkFails {
		return
	}
	err := guard.Do(func() error {
		p.config.Sink(string(x.Kind), x.From, x.To, data)
		return nil
	})
	if err != nil {
		p.sinkFails = true
		p.config.Logger.Error("gmpulse: Config.Sink of the profiler has panicked and is not called again", slog.Any("error", err))
	}
}
