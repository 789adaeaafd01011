// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// service is the service as the example sees it: a process, its address, and the
// page that a Prometheus would scrape.
type service struct {
	url, metrics string
	last         page
	stop         func()
}

// start runs this program once more, as the service.
func start(ctx context.Context, pool bool) (*service, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "-serve", fmt.Sprintf("-pool=%t", pool))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &service{stop: func() {
		in.Close()     // tells it to end,
		_ = cmd.Wait() // which ctx bounds
	}}
	if _, err := fmt.Fscan(bufio.NewReader(out), &s.url, &s.metrics); err != nil {
		s.stop()
		return nil, fmt.Errorf("the service did not start: %w", err)
	}
	return s, nil
}

// page is what the service publishes. What is absent is zero.
type page struct {
	saturation, cost, background, limit, headroom, confidence float64
	state                                                     string
	cpu                                                       float64 // seconds that the process has used
}

// observe waits and then scrapes.
func (s *service) observe(ctx context.Context, wait time.Duration) (page, error) {
	select {
	case <-ctx.Done():
		return page{}, context.Cause(ctx)
	case <-time.After(wait):
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metrics, http.NoBody)
	if err != nil {
		return page{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return page{}, err
	}
	defer resp.Body.Close()
	p := page{}
	numbers := map[string]*float64{
		"gmpulse_capacity_saturation_ratio":        &p.saturation,
		"gmpulse_capacity_cpu_per_request_seconds": &p.cost,
		"gmpulse_capacity_background":              &p.background,
		"gmpulse_capacity_limit_per_second":        &p.limit,
		"gmpulse_capacity_headroom_per_second":     &p.headroom,
		"gmpulse_capacity_confidence_ratio":        &p.confidence,
		"process_cpu_seconds_total":                &p.cpu,
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v := numbers[name]; v != nil {
			*v, _ = strconv.ParseFloat(value, 64)
		}
		if state, ok := strings.CutPrefix(name, `gmpulse_capacity_state{state="`); ok && value == "1" {
			p.state = strings.TrimSuffix(state, `"}`)
		}
	}
	s.last = p
	return p, lines.Err()
}

// print prints one line of the running table.
func (p *page) print(rate float64) {
	fmt.Printf("%8.0f/s  %10.2f  ", rate, p.saturation)
	if p.limit > 0 {
		fmt.Printf("%6.2fms  %10.0f/s  %8.0f/s  ", 1000*p.cost, p.limit, p.headroom)
	} else {
		fmt.Printf("%8s  %12s  %10s  ", "", "", "")
	}
	fmt.Printf("%6.0f %%  %s\n", 100*p.confidence, p.state)
}
