// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/agent"
)

const (
	oldVersion = "v1.4.0"
	newVersion = "v1.5.0"
	newShare   = 10 // one instance in ten gets the new version
)

// fleet serves the metrics of many instances of a service.
type fleet struct {
	instances int
	server    *http.Server
	address   string
	agent     *agent.Agent
	metrics   http.Handler // of the real agent
	deployed  atomic.Bool
	leaks     atomic.Bool

	mu   sync.Mutex
	text string // the last answer of metrics
	at   time.Time
}

func newFleet(instances int) (*fleet, error) {
	a, err := agent.Start(agent.WithListen("off"), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	f := &fleet{instances: instances, agent: a, metrics: a.Handler()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f.address = l.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /instances/{number}/metrics", f.serve)
	f.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		if err := f.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}()
	return f, nil
}

func (f *fleet) close() {
	_ = f.server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = f.agent.Stop(ctx)
}

// targets returns the instances in the format of Prometheus's file_sd.
func (f *fleet) targets() any {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	all := make([]group, f.instances)
	for i := range all {
		all[i] = group{[]string{f.address}, map[string]string{
			"instance": fmt.Sprintf("shop-%04d:9464", i), "__metrics_path__": fmt.Sprintf("/instances/%d/metrics", i),
		}}
	}
	return all
}

// deploy gives a part of the instances the new version, and returns their number.
func (f *fleet) deploy() int {
	f.deployed.Store(true)
	return (f.instances + newShare - 1) / newShare
}

// leak makes the instances of the new version report a leak.
func (f *fleet) leak() { f.leaks.Store(true) }

func (f *fleet) serve(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || n < 0 || n >= f.instances {
		http.NotFound(w, r)
		return
	}
	text, err := f.current()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = io.WriteString(w, f.instance(text, n))
}

// current returns the metrics of the real agent, at most a second old.
func (f *fleet) current() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) < time.Second {
		return f.text, nil
	}
	text, err := get(f.metrics, "/metrics")
	f.text, f.at = text, time.Now()
	return text, err
}

// instance returns the metrics of one instance: the metrics of the real agent with another number of
// goroutines, its own resource attributes, and the leak of the new version.
func (f *fleet) instance(text string, n int) string {
	isNew := n%newShare == 0 && f.deployed.Load()
	version := oldVersion
	if isNew {
		version = newVersion
	}
	leaked := 0
	if isNew && f.leaks.Load() {
		leaked = 1000 + n
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "target_info{"):
			fmt.Fprintf(&b, "target_info{service_name=\"shop\",service_version=%q,service_instance_id=\"%08d-%s\",host_name=\"node-%d\"} 1\n", version, n, version, n/20)
		case strings.HasPrefix(line, "gmpulse_goroutines "):
			fmt.Fprintf(&b, "gmpulse_goroutines %d\n", 200+n%97+leaked)
		case strings.HasPrefix(line, "gmpulse_leak_suspects "), strings.HasPrefix(line, "gmpulse_goroutine_group_goroutines{"):
		default:
			b.WriteString(line)
		}
	}
	suspects := 0
	if leaked > 0 {
		suspects = 1
		fmt.Fprintf(&b, "gmpulse_goroutine_group_goroutines{wait=\"chan receive\",site=\"shop.(*Cart).watch (cart.go:42)\",entry=\"shop.(*Cart).watch\",verdict=\"leak\",incident_site=\"shop.(*Cart).watch (cart.go:42)\",incident_root_span=\"POST /checkout\"} %d\n", leaked)
	}
	fmt.Fprintf(&b, "gmpulse_leak_suspects %d\n", suspects)
	return b.String()
}
