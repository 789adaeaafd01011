// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"fmt"
	"time"
)

const (
	// forgetAfter is when a cause is a new incident again.
	forgetAfter = time.Hour
	maxCauses   = 1000
)

// budget decides whether a bundle may be made. It does not read the clock.
type budget struct {
	cooldown time.Duration
	perHour  int
	causes   map[string]taken
	recent   []recent // of the last hour
}

// recent is one of the last hour.
type recent struct {
	at    time.Time
	minor bool
}

// taken is the last bundle of a cause.
type taken struct {
	at   time.Time
	size float64
}

func newBudget(c Config) budget {
	return budget{cooldown: c.Cooldown, perHour: c.PerHour, causes: map[string]taken{}}
}

// take says why not, or counts the bundle.
func (b *budget) take(now time.Time, t *Trigger) (why string) {
	last, known := b.causes[t.Cause]
	doubled := t.Size > 0 && last.size > 0 && t.Size >= 2*last.size
	if since := now.Sub(last.at); known && since < b.cooldown && !doubled {
		return fmt.Sprintf("the last one for this cause was made %v ago, one is made in %v", since.Round(time.Second), b.cooldown)
	}
	b.forget(now)
	if len(b.recent) >= b.perHour {
		return fmt.Sprintf("%d were made in the last hour, no more are", len(b.recent))
	}
	if n := b.minor(); t.Minor && n >= (b.perHour+1)/2 {
		return fmt.Sprintf("%d of the minor kind were made in the last hour, the rest is for others", n)
	}
	b.recent = append(b.recent, recent{now, t.Minor})
	b.causes[t.Cause] = taken{at: now, size: t.Size}
	for _, cause := range t.Also {
		b.causes[cause] = taken{at: now}
	}
	return ""
}

// isFirst reports whether a cause has had no bundle recently. Call it before take.
func (b *budget) isFirst(now time.Time, cause string) bool {
	last, known := b.causes[cause]
	return !known || now.Sub(last.at) >= forgetAfter
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

func (b *budget) forget(now time.Time) {
	kept := b.recent[:0]
	for _, r := range b.recent {
		if now.Sub(r.at) < time.Hour {
			kept = append(kept, r)
		}
	}
	b.recent = kept
	for cause, last := range b.causes {
		if now.Sub(last.at) >= forgetAfter || len(b.causes) > maxCauses {
			delete(b.causes, cause)
		}
	}
}
