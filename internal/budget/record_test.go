// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"net"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/internal/sampler"
)

// recordAllocations counts the allocations of one acknowledged record, including the
// allocations of fluent-logger and of the test server.
func recordAllocations(tb testing.TB) float64 {
	tb.Helper()
	e, err := fluentd.New(fluentd.Config{URL: "tcp://" + acknowledging(tb)})
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
// returns its address.
func acknowledging(tb testing.TB) string {
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
			if err := acknowledge(c); err != nil {
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
