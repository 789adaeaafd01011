// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"math/bits"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// The labels of tracectx. Service sets them itself, because the epochs of tracectx are
// too long for the scaled time.
const (
	rootLabel  = "gmpulse_root"
	epochLabel = "gmpulse_epoch"
)

// Service runs requests under root spans. It labels their goroutines as tracectx does,
// with epochs of two slots, and counts the requests in flight. Its methods may be
// called concurrently.
type Service struct {
	start time.Time
	epoch time.Duration

	mu     sync.Mutex
	next   int
	active map[string]map[int]time.Time
	took   map[string][]time.Duration // of the newest requests that ended
	ended  map[string]uint64
}

// NewService returns a Service whose epochs are two slots long.
func NewService(slot time.Duration) *Service {
	return &Service{start: time.Now(), epoch: 2 * slot, active: map[string]map[int]time.Time{}, took: map[string][]time.Duration{}, ended: map[string]uint64{}}
}

// Root runs f on the calling goroutine as a request with a root span of that name.
func (s *Service) Root(name string, f func()) {
	epoch := int(time.Since(s.start) / s.epoch)
	id := s.begin(name)
	defer s.end(name, id, time.Now())
	pprof.Do(context.Background(), pprof.Labels(rootLabel, name, epochLabel, strconv.Itoa(epoch)), func(context.Context) { f() })
}

func (s *Service) begin(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	if s.active[name] == nil {
		s.active[name] = map[int]time.Time{}
	}
	s.active[name][s.next] = time.Now()
	return s.next
}

func (s *Service) end(name string, id int, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.active[name], id)
	s.ended[name]++
	const keep = 500
	took := append(s.took[name], time.Since(began))
	s.took[name] = took[max(0, len(took)-keep):]
}

// Groups returns the requests as the span groups that tracectx would report.
func (s *Service) Groups() (groups []runtimeinfo.SpanGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, active := range s.active {
		g := runtimeinfo.SpanGroup{Name: name, Active: len(active)}
		for _, began := range active {
			age := time.Since(began)
			g.Ages[min(bits.Len64(uint64(age/time.Second)), runtimeinfo.SpanAges-1)]++
			if g.Oldest.IsZero() || began.Before(g.Oldest) {
				g.Oldest = began
			}
		}
		if took := slices.Sorted(slices.Values(s.took[name])); len(took) > 0 {
			g.P50, g.P99 = took[len(took)/2], took[len(took)*99/100]
		}
		g.Ended = s.ended[name]
		groups = append(groups, g)
	}
	return groups
}

// Origin implements goroutines.DetectorConfig.Origin.
func (s *Service) Origin(root, epoch string) (o runtimeinfo.Origin, ok bool) {
	n, err := strconv.Atoi(epoch)
	if err != nil {
		return o, false
	}
	o.From = s.start.Add(time.Duration(n) * s.epoch)
	o.To = o.From.Add(s.epoch)
	o.Examples = []runtimeinfo.Span{{Name: root, Start: o.From}}
	return o, true
}
