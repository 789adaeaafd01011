// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// limit returns a function that reads all runtime metrics except the counters of
// GODEBUG settings. No sampler of these metrics can be faster.
func limit() func() {
	var samples []metrics.Sample
	for _, d := range metrics.All() {
		if !strings.HasPrefix(d.Name, "/godebug/") {
			samples = append(samples, metrics.Sample{Name: d.Name})
		}
	}
	return func() { metrics.Read(samples) }
}

// gmpulseParts returns the parts of a sample of gmpulse.
func gmpulseParts() (read, snapshot, pulse, hostPass func()) {
	r := sampler.NewReader(sampler.Config{})
	h := host.NewReader(host.Config{})
	tick := sampler.Tick{Host: h.Read(context.Background())}
	read = func() {
		tick.Time = time.Now()
		r.Read(tick)
	}
	read()
	return read, func() { read(); r.Snapshot() }, func() { r.Pulse(0) }, func() { h.Read(context.Background()) }
}

func sampleCases() ([]sidebyside.Case, error) {
	read, snapshot, pulse, hostPass := gmpulseParts()
	runtimeOTel, err := collectOTel(true, false)
	if err != nil {
		return nil, err
	}
	hostOTel, err := collectOTel(false, true)
	if err != nil {
		return nil, err
	}
	statsvizSample, err := statsvizTick()
	if err != nil {
		return nil, err
	}
	return []sidebyside.Case{
		sidebyside.Op("*limit:* bare metrics.Read of all but godebug", limit()),
		sidebyside.Op("**gmpulse**, 130 runtime values", read),
		sidebyside.Op("**gmpulse**, the same with an immutable snapshot", snapshot),
		sidebyside.Op("**gmpulse**, pulse: the scheduler's states", pulse),
		sidebyside.Op("**gmpulse**, host pass: process, cgroup, machine", hostPass),
		gather("client_golang Go collector", collectors.NewGoCollector()),
		gather("client_golang process collector", goAndProcess()[1]),
		gather("client_golang Go and process", goAndProcess()...),
		gather("client_golang Go collector, all rules", collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll))),
		sidebyside.Must("OTel contrib runtime, 10 metrics", runtimeOTel),
		sidebyside.Must("OTel contrib host", hostOTel),
		sidebyside.Must("statsviz", statsvizSample),
		sidebyside.Op("VictoriaMetrics metrics (stops the world)", victoriaMetrics),
		sidebyside.Op("DataDog runtime metrics", datadogTick()),
		sidebyside.Must("holmes, without its sleep", holmesTick),
	}, nil
}

func printSample(e effort) error {
	cases, err := sampleCases()
	if err != nil {
		return err
	}
	cold := sidebyside.Cold(e.cold, cases)
	head("what", "× limit", "CPU", "CPU, caches cold", "allocated", "allocations")
	for i, r := range sidebyside.Turns(e.turns, cases) {
		row(r.Name, ratio(r.Ratio), duration(r.CPU), duration(cold[i]), size(r.Bytes), number(r.Allocs))
	}
	return nil
}
