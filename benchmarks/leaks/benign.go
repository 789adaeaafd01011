// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/benchmarks/leaks/watch"
)

// benign is a workload that leaks nothing, although its goroutines may multiply. run
// returns when stop is closed. now returns the elapsed share of the time, from 0 to 1.
type benign struct {
	name string
	run  func(s *watch.Service, stop <-chan struct{}, now func() float64)
}

// poisson starts requests at a rate that depends on the time, until stop is closed.
func poisson(stop <-chan struct{}, now func() float64, rate func(t float64) float64, f func()) {
	for {
		wait := time.Duration(rand.ExpFloat64() / max(rate(now()), 1) * float64(time.Second))
		select {
		case <-stop:
			return
		case <-time.After(wait):
			go f()
		}
	}
}

// clients connects more and more clients, which send one request and stay connected.
// They have no goroutines, because clients of a real service are other processes.
func clients(stop <-chan struct{}, now func() float64, srv *httptest.Server) {
	var mu sync.Mutex
	var conns []net.Conn
	poisson(stop, now, constant(20), func() {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, c)
	})
	mu.Lock()
	defer mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

func constant(r float64) func(float64) float64 { return func(float64) float64 { return r } }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func benigns() []benign {
	return []benign{
		{"static pool", staticPool},
		{"Poisson arrivals", requests(constant(300), func(float64) float64 { return 0.05 + 0.1*rand.Float64() })},
		{"traffic ramp", requests(func(t float64) float64 { return 20 + 580*t }, constant(0.3))},
		{"bursts", bursts},
		{"rising latency", requests(constant(200), func(t float64) float64 { return 0.05 + 0.7*t })},
		{"more and more connections", streams},
		{"idle keep-alive connections", idleConnections},
		{"pool filled on demand", growingPool},
		{"keep-alive clients", keepAliveClients},
		{"day and night", requests(func(t float64) float64 { return 200 - 190*math.Cos(t*2*math.Pi) }, constant(0.3))},
		{"load step", requests(func(t float64) float64 {
			if t > 0.5 {
				return 300
			}
			return 100
		}, constant(0.3))},
	}
}

// request returns a request that takes the given number of seconds.
func request(s *watch.Service, length func() float64) func() {
	return func() { s.Root("GET /", func() { <-time.After(seconds(length())) }) }
}

// requests returns a workload of requests whose rate per second and length in seconds
// depend on the time.
func requests(rate, length func(t float64) float64) func(*watch.Service, <-chan struct{}, func() float64) {
	return func(s *watch.Service, stop <-chan struct{}, now func() float64) {
		poisson(stop, now, rate, request(s, func() float64 { return length(now()) }))
	}
}

func staticPool(s *watch.Service, stop <-chan struct{}, now func() float64) {
	jobs := make(chan func())
	for range 100 {
		go func() {
			for f := range jobs {
				f()
			}
		}()
	}
	poisson(stop, now, constant(300), func() {
		select {
		case jobs <- request(s, func() float64 { return 0.05 }):
		case <-stop:
		}
	})
	close(jobs)
}

func bursts(s *watch.Service, stop <-chan struct{}, _ func() float64) {
	for {
		for range 300 {
			go request(s, func() float64 { return 0.4 + 0.4*rand.Float64() })()
		}
		select {
		case <-stop:
			return
		case <-time.After(2 * time.Second):
		}
	}
}

// streams has clients whose response body never ends.
func streams(_ *watch.Service, stop <-chan struct{}, now func() float64) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	clients(stop, now, srv)
}

func idleConnections(s *watch.Service, stop <-chan struct{}, now func() float64) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.Root("GET /first", func() { _, _ = io.WriteString(w, "ok") })
	}))
	clients(stop, now, srv)
}

// growingPool adds a worker every 120 ms, up to 24.
func growingPool(s *watch.Service, stop <-chan struct{}, now func() float64) {
	go poisson(stop, now, constant(150), request(s, func() float64 { return 0.05 }))
	jobs := make(chan func())
	defer close(jobs)
	for range 24 {
		s.Root("GET /first", func() {
			go func() {
				for f := range jobs {
					f()
				}
			}()
		})
		select {
		case <-stop:
			return
		case <-time.After(120 * time.Millisecond):
		}
	}
	<-stop
}

func keepAliveClients(s *watch.Service, stop <-chan struct{}, _ func() float64) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond)
		_, _ = io.WriteString(w, "ok")
	}))
	for range 50 {
		go func() {
			c := http.Client{Transport: &http.Transport{}}
			for {
				s.Root("GET /upstream", func() {
					if resp, err := c.Get(srv.URL); err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
				})
				select {
				case <-stop:
					c.CloseIdleConnections()
					return
				case <-time.After(30 * time.Millisecond):
				}
			}
		}()
	}
	<-stop
}
