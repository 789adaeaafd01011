// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"syscall"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
)

// reading is what a server process has used since its start.
type reading struct {
	CPU         float64 // seconds, of user and system
	Allocated   uint64  // bytes
	Collections uint64
	Error       string `json:",omitempty"`
}

// service is an application in this process. It obeys the commands of the parent.
type service struct {
	config  config
	agent   *agent.Agent // nil while it is off
	profile *os.File     // nil while there is none
}

// runServer runs a in this process until the parent ends or closes its pipe. It writes the address, then
// a reading after each command.
func runServer(a app, c config) error {
	keep := ballast()
	defer runtime.KeepAlive(keep)
	if c.Spans {
		otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithBatcher(discard{})))
	}
	address, err := a.serve(c)
	if err != nil {
		return err
	}
	if _, err := fmt.Println(address); err != nil {
		return err
	}
	s := &service{config: c}
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		r := reading{}
		if err := s.obey(in.Text()); err != nil {
			r.Error = err.Error()
		} else {
			r = read()
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return s.obey("off")
}

var errCommand = errors.New("unknown command")

func (s *service) obey(command string) error {
	switch command {
	case "on":
		return s.on()
	case "off":
		return s.off()
	case "read":
		return nil
	case "profile":
		return s.startProfile()
	case "profiled":
		pprof.StopCPUProfile()
		return s.profile.Close()
	}
	return fmt.Errorf("%w %q", errCommand, command)
}

// on starts the agent with its defaults. The collection at its end is the same for both states.
func (s *service) on() error {
	defer runtime.GC()
	if s.config.Idle || s.agent != nil {
		return nil
	}
	var err error
	s.agent, err = agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithLogger(slog.New(slog.DiscardHandler)))
	return err
}

func (s *service) off() error {
	defer runtime.GC()
	if s.agent == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := s.agent.Stop(ctx)
	s.agent = nil
	return err
}

func (s *service) startProfile() error {
	state := "off"
	if s.agent != nil {
		state = "on"
	}
	var err error
	s.profile, err = os.CreateTemp(".", "apps-"+state+"-*.pprof")
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(s.profile)
}

func read() reading {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(samples)
	r := reading{Allocated: samples[0].Value.Uint64(), Collections: samples[1].Value.Uint64()}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		r.Error = err.Error()
	}
	r.CPU = float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	return r
}

// discard is a span exporter that drops all spans.
type discard struct{}

func (discard) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                             { return nil }
