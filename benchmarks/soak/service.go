// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/internal/headroom"
)

// service is the service with the agent, and its viewers, scrapers and hostile clients.
type service struct {
	agent   *agent.Agent
	tracer  trace.Tracer
	backend *backend
	flaky   *flaky
	viewers int
	most    int
	dir     string // of the spool
	kept    string // of the evidence and of the baselines

	hostile int
	limits  limits

	scrapes, rows, visits, displaced atomic.Uint64
	requests                         atomic.Uint64
	attacks                          connections
	captures, refused                atomic.Uint64
	longest                          atomic.Int64 // duration of a request, in nanoseconds
	peakFiles, peakMemory            atomic.Int64

	mu   sync.Mutex
	errs map[string]error // by text, so that a repeated error is kept once
}

// run runs the load for a time, then returns what the process uses without load.
func (s *service) run(length time.Duration) usage {
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { s.waves(ctx) })
	wg.Go(func() { s.injectFaults(ctx) })
	wg.Go(func() { s.check(ctx) })
	wg.Go(func() { s.capture(ctx) })
	if s.hostile > 0 {
		wg.Go(func() { s.addError(s.runHostileClients(ctx)) })
	}
	for range s.viewers {
		wg.Go(func() { s.view(ctx) })
	}
	for range 3 {
		wg.Go(func() { s.scrape(ctx) })
	}
	wg.Wait()
	return s.pause()
}

// waves runs requests whose number of goroutines rises to most and falls to none every
// ten seconds.
func (s *service) waves(ctx context.Context) {
	start := time.Now()
	var requests sync.WaitGroup
	defer requests.Wait()
	var running atomic.Int64
	for range every(ctx, 5*time.Millisecond) {
		phase := 2 * math.Pi * time.Since(start).Seconds() / 10
		want := int64(float64(s.most) * (1 - math.Cos(phase)) / 2)
		for range min(max(want-running.Load(), 0)/10, 50) {
			running.Add(10)
			requests.Go(func() {
				defer running.Add(-10)
				s.request(ctx)
			})
		}
	}
}

// request has a root span with a child span and nine goroutines, and takes half a
// second.
func (s *service) request(ctx context.Context) {
	begin := time.Now()
	defer func() {
		s.requests.Add(1)
		raise(&s.longest, int64(time.Since(begin)))
	}()
	spanCtx, span := s.tracer.Start(context.Background(), [...]string{"GET /a", "GET /b", "POST /c"}[time.Now().UnixNano()%3])
	defer span.End()
	_, child := s.tracer.Start(spanCtx, "work")
	child.End()
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 9 {
		wg.Go(func() { <-done })
	}
	wait(ctx, 500*time.Millisecond)
	close(done)
	wg.Wait()
}

// injectFaults stops and restarts the Fluentd server, and changes how the flaky
// exporter fails.
func (s *service) injectFaults(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		s.flaky.mode.Store(int32(i))
		if i%2 == 1 {
			s.addError(s.backend.stop())
		} else {
			s.addError(s.backend.start())
		}
		wait(ctx, 1500*time.Millisecond)
	}
	s.flaky.mode.Store(0)
	s.addError(s.backend.start())
}

// view opens the page's stream, reads it for three seconds and disconnects, until ctx
// is done.
func (s *service) view(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		visit, leave := context.WithTimeout(ctx, 3*time.Second)
		r, err := http.NewRequestWithContext(visit, http.MethodGet, s.page("api/v1/stream"), nil)
		if err == nil {
			r.Header.Set("Authorization", "Bearer "+token)
			err = s.read(client, r)
		}
		s.visits.Add(1)
		if visit.Err() == nil {
			s.failed(err)
			wait(ctx, time.Second)
		}
		leave()
	}
}

func (s *service) read(client *http.Client, r *http.Request) error {
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", r.URL.Path, answer.Status)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			s.rows.Add(1)
		}
	}
	return lines.Err()
}

// scrape reads the metrics ten times a second.
func (s *service) scrape(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range every(ctx, 100*time.Millisecond) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.page("../../metrics"), nil)
		if err != nil {
			s.addError(err)
			return
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := client.Do(r)
		if err != nil {
			if ctx.Err() == nil {
				s.failed(err)
			}
			continue
		}
		page, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if ctx.Err() == nil && (err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(page), "gmpulse_goroutines")) {
			s.addError(fmt.Errorf("scrape: %s, %d bytes, %v", answer.Status, len(page), err))
		}
		s.scrapes.Add(1)
	}
}

// failed records why a viewer or a scraper got no answer. When all connections are in
// use, the server closes one whose token it has not read yet in favour of a newer one.
// With hostile clients this is counted instead, and the client connects again.
func (s *service) failed(err error) {
	closed := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		err != nil && strings.Contains(err.Error(), "server closed idle connection") // net/http exports no such error
	if s.hostile > 0 && closed {
		s.displaced.Add(1)
		return
	}
	s.addError(err)
}

// capture creates bundles of evidence, one after the other.
func (s *service) capture(ctx context.Context) {
	for wait(ctx, time.Second); ctx.Err() == nil; wait(ctx, 10*time.Second) {
		if _, err := s.agent.Capture(ctx, "soak"); err == nil {
			s.captures.Add(1)
		} else if errors.Is(err, headroom.ErrShort) {
			s.refused.Add(1) // as intended near the limit
		} else if ctx.Err() == nil && !errors.Is(err, evidence.ErrBusy) {
			s.addError(err)
		}
	}
}

// check measures the process and checks the exporters' counts every second.
func (s *service) check(ctx context.Context) {
	for range every(ctx, time.Second) {
		s.addError(s.measure())
		s.addError(checkCounts(s.agent.Stats().Exporters, false))
	}
}

// addError records an error unless it is nil.
func (s *service) addError(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.errs == nil {
		s.errs = map[string]error{}
	}
	const limit = 20
	if len(s.errs) < limit {
		s.errs[err.Error()] = err
	}
}

// every yields at an interval until ctx is done.
func every(ctx context.Context, d time.Duration) func(func() bool) {
	return func(yield func() bool) {
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if !yield() {
					return
				}
			}
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
