// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"fmt"
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

// reserve counts a bundle and returns "", or returns why there must be none.
func (b *budget) reserve(now time.Time, t *Trigger) (why string) {
	previous, known := b.causes[t.Cause]
	doubled := t.Size > 0 && previous.size > 0 && t.Size >= 2*previous.size
	if since := now.Sub(previous.at); known && since < b.cooldown && !doubled {
		return fmt.Sprintf("the last bundle for this cause was created %v ago, and the cooldown is %v", since.Round(time.Second), b.cooldown)
	}
	b.forget(now)
	if len(b.recent) >= b.perHour {
		return fmt.Sprintf("the limit is reached: %d bundles were created in the last hour", len(b.recent))
	}
	if n := b.minor(); t.Minor && n >= (b.perHour+1)/2 {
		return fmt.Sprintf("the limit of minor incidents is reached: they had %d bundles in the last hour", n)
	}
	b.recent = append(b.recent, recent{now, t.Minor})
	b.causes[t.Cause] = last{at: now, size: t.Size}
	for _, cause := range t.Also {
		b.causes[cause] = last{at: now}
	}
	return ""
}

// isFirst reports whether a cause has had no bundle in the last hour. It must be called before
// reserve.
func (b *budget) isFirst(now time.Time, cause string) bool {
	previous, known := b.causes[cause]
	return !known || now.Sub(previous.at) >= forgetAfter
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
	kept := b.recent[:0]
	for _, r := range b.recent {
		if now.Sub(r.at) < time.Hour {
			kept = append(kept, r)
		}
	}
	b.recent = kept
	for cause, previous := range b.causes {
		if now.Sub(previous.at) >= forgetAfter || len(b.causes) > maxCauses {
			delete(b.causes, cause)
		}
	}
}
