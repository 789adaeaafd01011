// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"math"
	"slices"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/internal/otelspan"
)

const (
	// minLearned is the number of spans of a name from which there is a 99th percentile.
	minLearned = 100
	// maxLearned is the number of spans after which the percentile is updated, from those
	// spans. They take 4 KB for each name.
	maxLearned = 512
	maxNames   = 100
)

// slowSpans decides which root spans are slow.
type slowSpans struct {
	config Config

	mu    sync.Mutex
	names map[string]*learned
	last  time.Time // of the last picked span
}

func newSlowSpans(c Config) slowSpans {
	return slowSpans{config: c, names: map[string]*learned{}}
}

// pick learns the durations of a batch and returns the slowest of the slow local roots
// for which recorded reports true. It returns nil if there is none, or if less than
// SlowEvery has passed since the last one.
func (s *slowSpans) pick(now time.Time, batch []sdktrace.ReadOnlySpan, recorded func(sdktrace.ReadOnlySpan) bool) (slow sdktrace.ReadOnlySpan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range batch {
		if otelspan.HasLocalParent(span.Parent()) {
			continue
		}
		d := duration(span)
		if s.isSlow(span.Name(), d) && (slow == nil || d > duration(slow)) && recorded(span) {
			slow = span
		}
	}
	if slow == nil || !s.last.IsZero() && now.Sub(s.last) < s.config.SlowEvery {
		return nil
	}
	s.last = now
	return slow
}

// isSlow reports whether a duration exceeds the threshold, and learns the duration.
func (s *slowSpans) isSlow(name string, d time.Duration) bool {
	if s.config.SlowerThan > 0 {
		return d > s.config.SlowerThan
	}
	l := s.names[name]
	if l == nil {
		if len(s.names) >= maxNames {
			return false
		}
		l = &learned{threshold: math.MaxInt64}
		s.names[name] = l
	}
	slow := d > l.threshold
	l.add(d)
	return slow
}

// learned has the durations of the last spans of one name.
type learned struct {
	recent    []time.Duration // since the last update with maxLearned spans
	threshold time.Duration   // the 99th percentile
}

func (l *learned) add(d time.Duration) {
	l.recent = append(l.recent, d)
	n := len(l.recent)
	if n < maxLearned && (n < minLearned || l.threshold < math.MaxInt64) {
		return
	}
	slices.Sort(l.recent)
	l.threshold = l.recent[n*99/100]
	if n == maxLearned {
		l.recent = l.recent[:0]
	}
}

func duration(s sdktrace.ReadOnlySpan) time.Duration { return s.EndTime().Sub(s.StartTime()) }
