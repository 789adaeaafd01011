// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// workers is the maximum number of requests in flight.
const workers = 32

// load sends requests to the service as a Poisson process whose rate can be changed.
// An infinite rate sends a request whenever a worker is free.
type load struct {
	url      string
	client   *http.Client
	rate     chan float64
	due      chan struct{}
	wg       sync.WaitGroup
	cancel   context.CancelFunc
	answered atomic.Uint64
	failed   atomic.Uint64
	first    atomic.Pointer[error]
}

func newLoad(url string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{
		url:    url,
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: workers}},
		rate:   make(chan float64),
		due:    make(chan struct{}),
		cancel: cancel,
	}
	l.wg.Go(func() { l.pace(ctx) })
	for range workers {
		l.wg.Go(func() { l.work(ctx) })
	}
	return l
}

// setRate sets the requests per second.
func (l *load) setRate(rate float64) { l.rate <- rate }

func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
	l.client.CloseIdleConnections()
}

// err returns the error of the first request that failed.
func (l *load) err() error {
	if e := l.first.Load(); e != nil {
		return *e
	}
	return nil
}

// pace releases a request whenever one is due. A Poisson process is a good model for
// requests of many independent users. A request waits until a worker is free.
func (l *load) pace(ctx context.Context) {
	rate := 0.0
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := time.Now()
	for {
		var due chan struct{}
		if rate > 0 && !time.Now().Before(next) {
			due = l.due
		}
		timer.Reset(max(0, time.Until(next)))
		wait := timer.C
		if due != nil || rate == 0 {
			wait = nil
		}
		select {
		case <-ctx.Done():
			return
		case rate = <-l.rate:
			next = time.Now()
		case <-wait:
		case due <- struct{}{}:
			if !math.IsInf(rate, 1) {
				next = next.Add(time.Duration(rand.ExpFloat64() / rate * float64(time.Second)))
			}
		}
	}
}

func (l *load) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.due:
		}
		switch err := l.get(ctx); {
		case err == nil:
			l.answered.Add(1)
		case ctx.Err() == nil:
			l.failed.Add(1)
			l.first.CompareAndSwap(nil, &err)
		}
	}
}

func (l *load) get(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", l.url, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
