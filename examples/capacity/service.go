// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/examples/child"
)

// service is the child process with the service, and its last scraped metrics.
type service struct {
	url, metrics string
	last         capacityMetrics
	stop         func() // ends the process and waits for it
}

// startService runs this program with -serve.
func startService(ctx context.Context, pool bool) (*service, error) {
	s := new(service)
	var err error
	s.stop, err = child.Start(ctx, []string{"GOMAXPROCS=1"}, []string{"-serve", fmt.Sprintf("-pool=%t", pool)}, &s.url, &s.metrics)
	return s, err
}

// capacityMetrics are metrics of the service. An absent metric is zero.
type capacityMetrics struct {
	saturation, cost, background, limit, headroom, confidence float64
	state                                                     string
	cpu                                                       float64 // seconds that the process has used
}

// observe waits and then scrapes the metrics.
func (s *service) observe(ctx context.Context, wait time.Duration) (p capacityMetrics, err error) {
	select {
	case <-ctx.Done():
		return p, context.Cause(ctx)
	case <-time.After(wait):
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metrics, http.NoBody)
	if err != nil {
		return p, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
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

// print prints one row of the table.
func (p *capacityMetrics) print(rate float64) {
	fmt.Printf("%8.0f/s  %10.2f  ", rate, p.saturation)
	if p.limit > 0 {
		fmt.Printf("%6.2fms  %10.0f/s  %8.0f/s  ", 1000*p.cost, p.limit, p.headroom)
	} else {
		fmt.Printf("%8s  %12s  %10s  ", "", "", "")
	}
	fmt.Printf("%6.0f %%  %s\n", 100*p.confidence, p.state)
}
