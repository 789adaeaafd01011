// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// wireBytes returns the number of bytes that Fluentd receives for a snapshot and its events.
func wireBytes(tb testing.TB, s *runtimeinfo.Snapshot) float64 {
	tb.Helper()
	var received atomic.Int64
	e, err := fluentd.New(fluentd.Config{URL: "tcp://" + acknowledging(tb, &received)})
	if err != nil {
		tb.Fatal(err)
	}
	if err := e.Export(tb.Context(), s); err != nil { // opens the connection
		tb.Fatal(err)
	}
	received.Store(0)
	if err := e.Export(tb.Context(), s); err != nil {
		tb.Fatal(err)
	}
	n := received.Load()
	if err := e.Shutdown(tb.Context()); err != nil {
		tb.Error(err)
	}
	return float64(n)
}

// recordAllocations counts the allocations of one acknowledged record, including the
// allocations of fluent-logger and of the test server.
func recordAllocations(tb testing.TB) float64 {
	tb.Helper()
	e, err := fluentd.New(fluentd.Config{URL: "tcp://" + acknowledging(tb, new(atomic.Int64))})
	if err != nil {
		tb.Fatal(err)
	}
	r := sampler.NewReader(sampler.Config{})
	r.Read(sampler.Tick{Time: time.Now()})
	s := r.Snapshot()
	export := func() {
		if err := e.Export(tb.Context(), s); err != nil {
			tb.Error(err)
		}
	}
	export() // opens the connection
	n := allocations(export)
	if err := e.Shutdown(tb.Context()); err != nil {
		tb.Error(err)
	}
	return n
}

// acknowledging starts a Forward server that serves one connection at a time, and
// returns its address. It adds the bytes that it reads to received.
func acknowledging(tb testing.TB, received *atomic.Int64) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if err := acknowledge(counted{c, received}); err != nil {
				tb.Error(err)
			}
			c.Close()
		}
	}()
	tb.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// acknowledge answers each message of the Forward protocol with its chunk.
func acknowledge(c net.Conn) error {
	r := msgp.NewReader(c)
	var chunk, answer []byte
	for {
		if _, err := r.ReadArrayHeader(); err != nil {
			return nil //nolint:nilerr // the client closed the connection; a probe sends nothing at all
		}
		for range 3 { // tag, time, record
			if err := r.Skip(); err != nil {
				return err
			}
		}
		_, err := r.ReadMapHeader()
		if err == nil {
			err = r.Skip() // "chunk"
		}
		if err == nil {
			chunk, err = r.ReadStringAsBytes(chunk[:0])
		}
		if err != nil {
			return err
		}
		answer = msgp.AppendStringFromBytes(append(answer[:0], "\x81\xa3ack"...), chunk)
		if _, err := c.Write(answer); err != nil {
			return err
		}
	}
}

// counted counts the bytes that are read from a connection.
type counted struct {
	net.Conn
	n *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}
