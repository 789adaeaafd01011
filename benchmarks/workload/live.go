// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// live is the service in this process, sampled as by the agent.
type live struct {
	tick      time.Duration
	service   *service
	processor *tracectx.Processor
	process   *catalogue.Process
	host      *host.Reader
	hosted    *host.Sample
	hostedAt  int
	start     time.Time
	second    int
	ticker    *time.Ticker
	recorder  *recorder // nil for none
	pulses    sync.WaitGroup
	stopped   chan struct{}
}

func newLive(tick time.Duration, seed uint64, to *recorder) *live {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		panic(err)
	}
	l := &live{
		tick: tick, processor: p, recorder: to,
		service: newService(p),
		process: catalogue.NewProcess(),
		host:    host.NewReader(host.Config{Logger: slog.New(slog.DiscardHandler)}),
		start:   time.Now(),
		ticker:  time.NewTicker(tick),
		stopped: make(chan struct{}),
	}
	l.pulses.Go(l.pulse)
	l.service.serve(rand.New(rand.NewPCG(seed, 2)))
	return l
}

func (l *live) stop() {
	l.ticker.Stop()
	close(l.stopped)
	l.pulses.Wait()
	l.service.stop()
}

// pulse samples the scheduler between ticks, as often as the engine does.
func (l *live) pulse() {
	interval := l.tick * 87 / 1000
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	start := time.Now()
	var due time.Duration
	for {
		select {
		case <-l.stopped:
			return
		case <-ticker.C:
			since := time.Since(start)
			due += interval
			l.process.Pulse(max(0, since-due))
			due = max(due, since.Truncate(interval)) // skips pulses that were missed
		}
	}
}

func (l *live) recover() { l.service.recover() }

func (l *live) next(do func(*service)) (*runtimeinfo.Snapshot, error) {
	do(l.service)
	<-l.ticker.C
	l.second++
	if l.second%10 == 1 {
		l.hosted, l.hostedAt = l.host.Read(context.Background()), l.second
	}
	now := time.Now()
	s := l.process.Sample(sampler.Tick{
		Time:     l.start.Add(time.Duration(l.second) * time.Second).Round(0),
		Lateness: max(0, now.Sub(l.start)-time.Duration(l.second)*l.tick) % l.tick,
		Host:     l.hosted,
	}, func(d *catalogue.Draft) {
		l.processor.Analyze(d.Draft)
		d.Set("gmpulse.host.age", float64(l.second-l.hostedAt))
	})
	if l.recorder != nil {
		return s, l.recorder.write(s)
	}
	return s, nil
}
