// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	// forgetAfter is the time after which the same cause is a new incident.
	forgetAfter = time.Hour
	maxCauses   = 1000
)

// budget limits the number of bundles, by Config.Cooldown and Config.PerHour.
type budget struct {
	cooldown time.Duration
	perHour  int
	causes   map[string]last
	recent   []recent // bundles of the last hour
}

// recent is a bundle of the last hour.
type recent struct {
	at    time.Time
	minor bool
}

// last is the last bundle of a cause.
type last struct {
	at   time.Time
	size float64
}

func newBudget(c Config) budget {
	return budget{cooldown: c.Cooldown, perHour: c.PerHour, causes: map[string]last{}}
}

// reserve counts a bundle, or returns why there must be none. It sets t.first.
func (b *budget) reserve(now time.Time, t *Trigger) error {
	previous, known := b.causes[t.Cause]
	since := now.Sub(previous.at)
	doubled := t.Size > 0 && previous.size > 0 && t.Size >= 2*previous.size
	if known && since < b.cooldown && !doubled {
		return fmt.Errorf("the last bundle for this cause was created %v ago, and the cooldown is %v", since.Round(time.Second), b.cooldown)
	}
	b.forget(now)
	if len(b.recent) >= b.perHour {
		return fmt.Errorf("the limit is reached: %d bundles were created in the last hour", len(b.recent))
	}
	if n := b.minor(); t.Minor && n >= (b.perHour+1)/2 {
		return fmt.Errorf("the limit of minor incidents is reached: they had %d bundles in the last hour", n)
	}
	t.first = !known || since >= forgetAfter
	b.recent = append(b.recent, recent{now, t.Minor})
	b.causes[t.Cause] = last{at: now, size: t.Size}
	for _, cause := range t.also {
		b.causes[cause] = last{at: now}
	}
	return nil
}

// minor returns the number of minor bundles in the last hour.
func (b *budget) minor() (n int) {
	for _, r := range b.recent {
		if r.minor {
			n++
		}
	}
	return n
}

// forget removes what no longer counts.
func (b *budget) forget(now time.Time) {
	b.recent = slices.DeleteFunc(b.recent, func(r recent) bool { return now.Sub(r.at) >= time.Hour })
	maps.DeleteFunc(b.causes, func(_ string, previous last) bool {
		return now.Sub(previous.at) >= forgetAfter || len(b.causes) > maxCauses
	})
}
