// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/benchmarks/forward"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// flaky is an exporter that works in every even mode and fails in the odd ones, in four
// ways by turns.
type flaky struct {
	mode     atomic.Int32
	failures atomic.Uint64
}

func (f *flaky) Export(ctx context.Context, _ *runtimeinfo.Snapshot) error {
	mode := f.mode.Load()
	if mode%2 == 0 {
		return nil
	}
	f.failures.Add(1)
	switch mode / 2 % 4 {
	case 0:
		return errors.New("refused")
	case 1:
		<-ctx.Done() // uses all of its time
		return ctx.Err()
	case 2:
		time.Sleep(300 * time.Millisecond) // ignores ctx
		return nil
	default:
		panic("flaky")
	}
}

func (*flaky) Shutdown(context.Context) error { return nil }

// backend is a Fluentd server that can be stopped and restarted. One goroutine may use
// it at a time.
type backend struct {
	address string
	server  *forward.Server // nil while stopped
	before  uint64          // records received before the last restart
}

func newBackend() (*backend, error) {
	s, err := forward.Listen("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &backend{address: s.Address(), server: s}, nil
}

func (b *backend) stop() error {
	if b.server == nil {
		return nil
	}
	s := b.server
	b.server = nil
	err := s.Close()
	b.before += s.Records()
	return err
}

func (b *backend) start() (err error) {
	if b.server == nil {
		b.server, err = forward.Listen(b.address)
	}
	return err
}

func (b *backend) records() uint64 {
	if b.server == nil {
		return b.before
	}
	return b.before + b.server.Records()
}

func (b *backend) close() error { return b.stop() }
