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

// benign is a workload that leaks nothing, though its goroutines may multiply.
// run returns when stop is closed; now is the share of the time that has passed.
type benign struct {
	name string
	run  func(s *watch.Service, stop <-chan struct{}, now func() float64)
}

// poisson starts requests at a rate that depends on the time, until stop.
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

// clients connects ever more clients, which send one request and stay. They have
// no goroutines of their own: in real life they are other processes.
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
	handler := func(s *watch.Service, d func() time.Duration) func() {
		return func() { s.Root("GET /", func() { <-time.After(d()) }) }
	}
	return []benign{
		{"static pool", func(s *watch.Service, stop <-chan struct{}, now func() float64) {
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
				case jobs <- handler(s, func() time.Duration { return 50 * time.Millisecond }):
				case <-stop:
				}
			})
			close(jobs)
		}},
		{"Poisson arrivals", func(s *watch.Service, stop <-chan struct{}, now func() float64) {
			poisson(stop, now, constant(300), handler(s, func() time.Duration { return seconds(0.05 + 0.1*rand.Float64()) }))
		}},
		{"traffic ramp", func(s *watch.Service, stop <-chan struct{}, now func() float64) {
			poisson(stop, now, func(t float64) float64 { return 20 + 580*t }, handler(s, func() time.Duration { return 300 * time.Millisecond }))
		}},
		{"bursts", func(s *watch.Service, stop <-chan struct{}, _ func() float64) {
			for {
				for range 300 {
					go s.Root("GET /", func() { <-time.After(seconds(0.4 + 0.4*rand.Float64())) })
				}
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Second):
				}
			}
		}},
		{"latency creeps up", func(s *watch.Service, stop <-chan struct{}, now func() float64) {
			poisson(stop, now, constant(200), handler(s, func() time.Duration { return seconds(0.05 + 0.7*now()) }))
		}},
		{"ever more connections", func(s *watch.Service, stop <-chan struct{}, now func() float64) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}))
			clients(stop, now, srv)
		}},
		{"keep-alive connections, idle", func(s *watch.Service, stop <-chan struct{}, now func() float64) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				s.Root("GET /first", func() { _, _ = io.WriteString(w, "ok") })
			}))
			clients(stop, now, srv)
		}},
		{"pool filled on demand", func(s *watch.Service, stop <-chan struct{}, now func() float64) {
			go poisson(stop, now, constant(150), handler(s, func() time.Duration { return 50 * time.Millisecond }))
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
		}},
		{"keep-alive clients", func(s *watch.Service, stop <-chan struct{}, _ func() float64) {
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
		}},
		{"day and night", func(s *watch.Service, stop <-chan struct{}, now func() float64) {
			poisson(stop, now, func(t float64) float64 { return 200 - 190*math.Cos(t*2*math.Pi) }, handler(s, func() time.Duration { return 300 * time.Millisecond }))
		}},
		{"a step up", func(s *watch.Service, stop <-chan struct{}, now func() float64) {
			poisson(stop, now, func(t float64) float64 {
				if t > 0.5 {
					return 300
				}
				return 100
			}, handler(s, func() time.Duration { return 300 * time.Millisecond }))
		}},
	}
}
