// SPDX-License-Identifier: Apache-2.0

package page

import (
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	maxSpells = 256
	// maxStanding is how many verdicts on goroutines have spells at a time, the worst:
	// more would push each other out at every sample.
	maxStanding = 64
)

// spellLog keeps when something was not as it should be: a signal outside its
// band, a verdict on a group of goroutines. Guarded by the keeper's mutex.
type spellLog struct {
	all  []spell // in the order in which they began to be known
	last uint64
}

// spell is a time in which something was not as it should be.
type spell struct {
	ID uint64 `json:"id"`
	// Source is "band" or "goroutines".
	Source string `json:"source"`
	// Subject is the signal, or where the goroutines are.
	Subject string `json:"subject"`
	// Kind is the verdict; empty for a signal.
	Kind string `json:"kind,omitempty"`
	From int64  `json:"from"`
	To   int64  `json:"to,omitempty"` // 0 while it lasts
	// Peak is the furthest value, Expected what a band expected then.
	Peak     float64 `json:"peak"`
	Expected float64 `json:"expected,omitempty"`
	Unit     string  `json:"unit,omitempty"` // of both, for a signal
}

// add brings the log up to date with what stands at a sample.
func (l *spellLog) add(ms int64, bands []runtimeinfo.Band, verdicts []goroutines.Verdict) {
	standing := map[string]bool{}
	for i := range bands {
		b := &bands[i]
		if b.Since.IsZero() || b.Learning {
			continue
		}
		s := l.open("band", b.Signal, b.Since, ms)
		if further(b, s) {
			s.Peak, s.Expected, s.Unit = b.Value, b.Expected, b.Unit
		}
		standing["band"+b.Signal] = true
	}
	for i := range verdicts[:min(len(verdicts), maxStanding)] {
		v := &verdicts[i]
		if benign(v.Kind) {
			continue
		}
		where := v.Key.Site.String()
		s := l.open("goroutines", where, v.Since, ms)
		s.Kind, s.Peak = string(v.Kind), max(s.Peak, float64(v.Count))
		standing["goroutines"+where] = true
	}
	for i := range l.all {
		if s := &l.all[i]; s.To == 0 && !standing[s.Source+s.Subject] {
			s.To = ms
		}
	}
}

// benign reports whether nobody needs to look into a verdict of a kind, or not yet.
func benign(k goroutines.Kind) bool {
	return k == goroutines.Load || k == goroutines.Connections || k == goroutines.Pool || k == goroutines.Growing
}

// further tells whether a value is further from what was expected than all before.
func further(b *runtimeinfo.Band, s *spell) bool {
	distance := func(v, e float64) float64 { return max(v-e, e-v) }
	return distance(b.Value, b.Expected) >= distance(s.Peak, s.Expected)
}

// open returns the spell of a subject that lasts, a new one if there is none.
func (l *spellLog) open(source, subject string, since time.Time, ms int64) *spell {
	for i := range l.all {
		if s := &l.all[i]; s.To == 0 && s.Source == source && s.Subject == subject {
			return s
		}
	}
	if len(l.all) == maxSpells {
		l.all = slices.Delete(l.all, 0, 1)
	}
	l.last++
	l.all = append(l.all, spell{ID: l.last, Source: source, Subject: subject, From: min(since.UnixMilli(), ms)})
	return &l.all[len(l.all)-1]
}

// within returns the spells that touch a range.
func (l *spellLog) within(from, to int64) []spell {
	out := []spell{}
	for _, s := range l.all {
		if s.From <= to && (s.To == 0 || s.To >= from) {
			out = append(out, s)
		}
	}
	return out
}
