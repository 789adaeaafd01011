// SPDX-License-Identifier: Apache-2.0

package page

import (
	"math"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	maxEpisodes = 256
	// maxVerdicts is the number of verdicts, worst first, that have episodes at the same
	// time. With more, open episodes would push each other out at every snapshot.
	maxVerdicts = 64
)

// episodeLog keeps when a signal was outside its band and when a verdict was in force.
// The store's mutex guards it.
type episodeLog struct {
	all    []episode // in the order in which they were first seen
	lastID uint64
}

// episode is a time during which a signal was outside its band or a verdict was in
// force.
type episode struct {
	ID     uint64 `json:"id"`
	Source string `json:"source"` // "band" or "goroutines"
	// Subject is the name of the signal, or the site of the goroutines.
	Subject string `json:"subject"`
	// Kind is the kind of the verdict; it is empty for a signal.
	Kind string `json:"kind,omitempty"`
	From int64  `json:"from"`
	To   int64  `json:"to,omitempty"` // 0 while it lasts
	// Peak is the value of the signal furthest from Expected, or the greatest number of
	// goroutines.
	Peak     float64 `json:"peak"`
	Expected float64 `json:"expected,omitempty"` // when the peak was reached
	Unit     string  `json:"unit,omitempty"`     // of a signal
}

// add opens, updates and closes episodes by the bands and verdicts of a snapshot.
func (l *episodeLog) add(ms int64, bands []runtimeinfo.Band, verdicts []goroutines.Verdict) {
	lasting := map[string]bool{}
	for i := range bands {
		b := &bands[i]
		if b.Since.IsZero() || b.Learning {
			continue
		}
		e := l.open("band", b.Signal, b.Since, ms)
		if math.Abs(b.Value-b.Expected) >= math.Abs(e.Peak-e.Expected) {
			e.Peak, e.Expected, e.Unit = b.Value, b.Expected, b.Unit
		}
		lasting["band"+b.Signal] = true
	}
	for i := range verdicts[:min(len(verdicts), maxVerdicts)] {
		v := &verdicts[i]
		if harmless(v.Kind) {
			continue
		}
		site := v.Key.Site.String()
		e := l.open("goroutines", site, v.Since, ms)
		e.Kind, e.Peak = string(v.Kind), max(e.Peak, float64(v.Count))
		lasting["goroutines"+site] = true
	}
	for i := range l.all {
		if e := &l.all[i]; e.To == 0 && !lasting[e.Source+e.Subject] {
			e.To = ms
		}
	}
}

// harmless reports whether a verdict needs no attention, or none yet.
func harmless(k goroutines.Kind) bool {
	return k == goroutines.Load || k == goroutines.Connections || k == goroutines.Pool || k == goroutines.Growing
}

// open returns the episode of a subject that lasts, or a new one.
func (l *episodeLog) open(source, subject string, since time.Time, ms int64) *episode {
	for i := range l.all {
		if e := &l.all[i]; e.To == 0 && e.Source == source && e.Subject == subject {
			return e
		}
	}
	if len(l.all) == maxEpisodes {
		l.all = slices.Delete(l.all, 0, 1)
	}
	l.lastID++
	l.all = append(l.all, episode{ID: l.lastID, Source: source, Subject: subject, From: min(since.UnixMilli(), ms)})
	return &l.all[len(l.all)-1]
}

// within returns the episodes that overlap a range.
func (l *episodeLog) within(from, to int64) []episode {
	return where(l.all, func(e *episode) bool { return e.From <= to && (e.To == 0 || e.To >= from) })
}

// lasting returns the episodes that have not ended.
func (l *episodeLog) lasting() []episode {
	return where(l.all, func(e *episode) bool { return e.To == 0 })
}
