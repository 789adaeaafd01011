// SPDX-License-Identifier: Apache-2.0

package fluentd_test

import (
	"net"
	"sync"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// BenchmarkExport encodes a snapshot, sends it over the loopback interface, and waits
// for the acknowledgement. The server does not allocate.
func BenchmarkExport(b *testing.B) {
	for name, s := range map[string]*runtimeinfo.Snapshot{"metrics=all": everything(), "metrics=4": snapshot(1)} {
		b.Run(name, func(b *testing.B) {
			exp := newExporter(b, fluentd.Config{URL: "tcp://" + startServer(b)})
			if err := exp.Export(b.Context(), s); err != nil { // connects, which takes 200 ms
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := exp.Export(b.Context(), s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// everything returns a snapshot with each metric of the catalogue, two series for each
// metric with labels, and the maximum number of spans.
func everything() *runtimeinfo.Snapshot {
	var points []runtimeinfo.Point
	for i, m := range catalogue.All() {
		switch {
		case m.Keys != nil:
			for _, l := range []string{"one", "two"} {
				labels := make([]string, len(m.Keys))
				for k := range labels {
					labels[k] = l
				}
				points = append(points, runtimeinfo.Point{Metric: m, Labels: labels, Number: 1})
			}
		case m.Kind == runtimeinfo.KindHistogram:
			h := &runtimeinfo.Histogram{Bounds: make([]float64, 12), Counts: make([]uint64, 13), Sum: 1.5}
			points = append(points, runtimeinfo.Point{Metric: m, Histogram: h})
		default:
			points = append(points, runtimeinfo.Point{Metric: m, Number: float64(i) + 0.25})
		}
	}
	s := runtimeinfo.NewSnapshot(points...)
	s.Time = moment
	s.Resource = []runtimeinfo.Attr{{Key: "service.name", Value: "checkout"}, {Key: "service.instance.id", Value: "i-1"}}
	s.Spans = make([]runtimeinfo.Span, runtimeinfo.MaxSpans)
	return s
}

// startServer starts a server that acknowledges without allocating. It returns its address.
func startServer(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { acknowledge(c) })
		}
	})
	b.Cleanup(func() {
		_ = l.Close()
		wg.Wait() // the cleanup of the exporter runs first and closes its connection
	})
	return l.Addr().String()
}

func acknowledge(c net.Conn) {
	defer func() { _ = c.Close() }()
	r := msgp.NewReader(c)
	var scratch, ack []byte
	for {
		if _, err := r.ReadArrayHeader(); err != nil {
			return
		}
		for range 3 { // tag, time, record
			if r.Skip() != nil {
				return
			}
		}
		if _, err := r.ReadMapHeader(); err != nil || r.Skip() != nil { // "chunk"
			return
		}
		chunk, err := r.ReadStringAsBytes(scratch[:0])
		if err != nil {
			return
		}
		scratch = chunk
		ack = msgp.AppendStringFromBytes(append(ack[:0], "\x81\xa3ack"...), chunk)
		if _, err := c.Write(ack); err != nil {
			return
		}
	}
}
