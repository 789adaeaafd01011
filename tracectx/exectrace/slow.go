// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"math"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// Fewer spans of a name have no 99th percentile.
	minLearned = 100
	// Beyond so many spans each counts half, so that what was a day ago is forgotten.
	maxLearned = 8192
	// The threshold follows after so many spans.
	learnStep = 64
	maxNames  = 100
)

// slowSpans tells which root spans are slow.
type slowSpans struct {
	config Config

	mu    sync.Mutex
	names map[string]*learned
	last  time.Time // when one was looked into
}

func newSlowSpans(c Config) slowSpans {
	return slowSpans{config: c, names: map[string]*learned{}}
}

// pick learns from a batch of spans and returns a slow local root among those that
// are recorded, the slowest, unless the last one is not long ago.
func (s *slowSpans) pick(now time.Time, batch []sdktrace.ReadOnlySpan, recorded func(sdktrace.ReadOnlySpan) bool) (slow sdktrace.ReadOnlySpan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range batch {
		if hasLocalParent(span.Parent()) {
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

// isSlow tells whether a duration is beyond the threshold, and learns it.
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

// learned is the durations of one name, in four buckets for each factor of two.
type learned struct {
	counts    [40 * 4]float64 // from 1 µs
	total     float64
	added     int
	threshold time.Duration
}

func (l *learned) add(d time.Duration) {
	l.counts[learnedBucket(d)]++
	l.total++
	l.added++
	if l.total >= maxLearned {
		for i := range l.counts {
			l.counts[i] /= 2
		}
		l.total /= 2
	}
	if l.added%learnStep == 0 && l.total >= minLearned {
		l.threshold = l.p99()
	}
}

func (l *learned) p99() time.Duration {
	const beyond = 0.01
	sum := 0.0
	for i := len(l.counts) - 1; i > 0; i-- {
		if sum += l.counts[i]; sum > beyond*l.total {
			return time.Duration(float64(time.Microsecond) * math.Exp2(float64(i+1)/4))
		}
	}
	return time.Microsecond
}

func learnedBucket(d time.Duration) int {
	if d < time.Microsecond {
		return 0
	}
	return min(int(4*math.Log2(float64(d)/float64(time.Microsecond))), 40*4-1)
}

func duration(s sdktrace.ReadOnlySpan) time.Duration { return s.EndTime().Sub(s.StartTime()) }

func hasLocalParent(parent trace.SpanContext) bool { return parent.IsValid() && !parent.IsRemote() }
