// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"math"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/internal/otelspan"
)

const (
	// minLearned is the number of spans of a name from which there is a 99th percentile.
	minLearned = 100
	// maxLearned is the number of spans at which the counts are halved, so that old
	// spans are forgotten.
	maxLearned = 8192
	// learnStep is the number of spans after which the percentile is updated.
	learnStep = 64
	maxNames  = 100
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

// learned is a histogram of the durations of one name, from 1 µs on, with four buckets
// per doubling.
type learned struct {
	counts    [40 * 4]float64
	total     float64
	added     int
	threshold time.Duration
}

func (l *learned) add(d time.Duration) {
	bucket := 0
	if d >= time.Microsecond {
		bucket = min(int(4*math.Log2(float64(d)/float64(time.Microsecond))), len(l.counts)-1)
	}
	l.counts[bucket]++
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
	sum := 0.0
	for i := len(l.counts) - 1; i > 0; i-- {
		if sum += l.counts[i]; sum > 0.01*l.total {
			return time.Duration(float64(time.Microsecond) * math.Exp2(float64(i+1)/4))
		}
	}
	return time.Microsecond
}

func duration(s sdktrace.ReadOnlySpan) time.Duration { return s.EndTime().Sub(s.StartTime()) }
