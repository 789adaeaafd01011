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
	// referenceInterval is the time between two reference profiles.
	referenceInterval = 5 * time.Minute
	// maxReferenced is the maximum number of goroutines for a reference profile, because its
	// cost grows with their number.
	maxReferenced = 20_000
	// minReferenceAge is the minimum age of a reference profile for comparison. A newer one may
	// include the beginning of the incident.
	minReferenceAge = 2 * time.Minute
)

// references holds goroutine profiles from times without an incident. Bundles include one, to
// show which groups of goroutines have grown.
type references struct {
	cpu          *cputime.Budget
	last, before *reference
	tried        time.Time
	busy         bool
}

// reference is one goroutine profile.
type reference struct {
	at      time.Time
	profile []byte
	survey  *goroutines.Survey // the last survey at that time; may be nil
}

// suspicious reports whether the worst verdict is an alarm or pressure.
func suspicious(r *goroutines.Report) bool {
	return len(r.Verdicts) > 0 && (r.Verdicts[0].Kind.Suspect() || r.Verdicts[0].Kind == goroutines.Pressure)
}

func newReferences() references {
	const share = 0.0005
	return references{cpu: cputime.NewBudget(share, cputime.ProfileBase)}
}

// due reports whether it is time for another profile, for which n goroutines are profiled.
func (r *references) due(now time.Time, n int) bool {
	if !r.tried.IsZero() && now.Sub(r.tried) < referenceInterval || n > maxReferenced {
		return false
	}
	r.tried = now
	return r.last == nil || r.cpu.Allow(now, n)
}

func (r *references) add(p *reference) { r.last, r.before = p, r.last }

// at returns the profile to compare with an incident that was detected now, or nil.
func (r *references) at(now time.Time) *reference {
	if r.before != nil && now.Sub(r.last.at) < minReferenceAge {
		return r.before
	}
	return r.last
}

// takeReference takes a reference profile on another goroutine, if one is due and no group of
// goroutines is suspicious.
func (s *Store) takeReference(now time.Time) {
	report := s.config.Goroutines()
	n := runtime.NumGoroutine()
	s.mu.Lock()
	defer s.mu.Unlock()
	if suspicious(&report) || s.references.busy || s.shut || !s.references.due(now, n) {
		return
	}
	s.references.busy = true
	s.captures.Go(func() {
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
			s.references.busy = false
			s.references.cpu.Spend(now, n, cost)
			if errors.Is(err, headroom.ErrShort) {
				s.stats.refused++
			}
			if err == nil {
				s.references.add(&reference{at: now, profile: b.Bytes(), survey: report.Survey})
			}
		})
	})
}
