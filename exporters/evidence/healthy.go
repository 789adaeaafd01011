// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	// healthyEvery is how often a profile is taken while nothing is wrong.
	healthyEvery = 5 * time.Minute
	// Above so many it would be no cheap thing to do for comparison only.
	maxHealthy = 20_000
	// The newest one may have the beginning of an incident in it already.
	settled = 2 * time.Minute
)

// healthy is the goroutines of a time when nothing was wrong.
type healthy struct {
	governor     *cputime.Budget
	last, before *base
	tried        time.Time
	busy         bool
}

// base is one such time.
type base struct {
	at      time.Time
	profile []byte
	survey  *goroutines.Survey // may be nil
}

func newHealthy() healthy {
	const share = 0.0005
	return healthy{governor: cputime.NewBudget(share, cputime.ProfileBase)}
}

// due reports whether it is time for another profile.
func (h *healthy) due(now time.Time, n int) bool {
	if !h.tried.IsZero() && now.Sub(h.tried) < healthyEvery || n > maxHealthy {
		return false
	}
	h.tried = now
	return h.last == nil || h.governor.Allow(now, n)
}

func (h *healthy) add(b *base) { h.last, h.before = b, h.last }

// at returns the one to compare with an incident that is seen now, nil if
// there is none.
func (h *healthy) at(now time.Time) *base {
	if h.before != nil && now.Sub(h.last.at) < settled {
		return h.before
	}
	return h.last
}

// compare takes the goroutines for comparison, now and then, if nothing is wrong.
func (s *Store) compare(now time.Time) {
	report := s.config.Goroutines()
	n := runtime.NumGoroutine()
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := report.Process()
	if kind.Suspect() || kind == goroutines.Pressure || s.healthy.busy || s.shut || !s.healthy.due(now, n) {
		return
	}
	s.healthy.busy = true
	s.work.Go(func() {
		pprof.Do(context.Background(), pprof.Labels("gmpulse", "evidence"), func(context.Context) {
			start := time.Now()
			var b bytes.Buffer
			err := s.fits(headroom.Goroutines(n))
			if err == nil {
				err = profileTo("goroutine", &b)
			}
			cost := time.Since(start)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.healthy.busy = false
			s.healthy.governor.Spend(now, n, cost)
			if errors.Is(err, headroom.ErrShort) {
				s.stats.Refused++
			}
			if err == nil {
				s.healthy.add(&base{at: now, profile: b.Bytes(), survey: report.Survey})
			}
		})
	})
}
