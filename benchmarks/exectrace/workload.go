// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

const connections = 16

// service is an HTTP server and its client, both in this process, connected by TCP.
type service struct {
	conns []net.Conn
}

// newService starts a server that runs until the process ends. Its handler uses CPU for
// the time work. If tracer is not nil, it makes a root span with two children.
func newService(tracer oteltrace.Tracer, work time.Duration) (*service, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		if tracer == nil {
			spin(work)
			_, _ = io.WriteString(w, "ok")
			return
		}
		ctx, root := tracer.Start(r.Context(), "GET /")
		_, child := tracer.Start(ctx, "work")
		spin(work)
		child.End()
		_, child = tracer.Start(ctx, "answer")
		_, _ = io.WriteString(w, "ok")
		child.End()
		root.End()
	}
	server := &http.Server{Handler: http.HandlerFunc(handler), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	s := new(service)
	for range connections {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		s.conns = append(s.conns, c)
	}
	return s, nil
}

// newTracer returns a tracer whose provider has gmpulse's span processor.
func newTracer() (oteltrace.Tracer, error) {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		return nil, err
	}
	return trace.NewTracerProvider(trace.WithSpanProcessor(p)).Tracer("benchmark"), nil
}

// run sends n requests and waits for the responses.
func (s *service) run(n int) {
	s.connections(func(c net.Conn, buf []byte) {
		for range n/connections + 1 {
			must(request(c, buf))
		}
	})
}

// pace sends requests at a steady rate for the time d.
func (s *service) pace(perSecond int, d time.Duration) {
	interval := time.Second * connections / time.Duration(perSecond)
	s.connections(func(c net.Conn, buf []byte) {
		t := time.NewTicker(interval)
		defer t.Stop()
		for start := time.Now(); time.Since(start) < d; <-t.C {
			must(request(c, buf))
		}
	})
}

func (s *service) connections(f func(c net.Conn, buf []byte)) {
	var wg sync.WaitGroup
	for _, c := range s.conns {
		wg.Go(func() { f(c, make([]byte, 4096)) })
	}
	wg.Wait()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func request(c net.Conn, buf []byte) error {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	n := 0
	for !bytes.HasSuffix(buf[:n], []byte("\r\n\r\nok")) {
		k, err := c.Read(buf[n:])
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", n, err)
		}
		n += k
	}
	return nil
}

// spin uses CPU for about the time d. It counts iterations instead of reading the clock,
// so that other jobs on the machine do not reduce the work.
func spin(d time.Duration) {
	const each = 27 * time.Nanosecond // at about 3 GHz
	x := uint64(1)
	for range int(d / each) {
		for range 24 {
			x = x*6364136223846793005 + 1442695040888963407
		}
	}
	if x == 0 {
		panic("unreachable") // keeps the compiler from removing the loop
	}
}

// pingPong sends a value to another goroutine and back, n times.
func pingPong(n int) {
	there, back := make(chan int), make(chan int)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range n {
			back <- <-there
		}
	})
	for i := range n {
		there <- i
		<-back
	}
	wg.Wait()
}
