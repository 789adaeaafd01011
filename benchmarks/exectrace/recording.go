// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime/trace"
	"time"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
)

// measureRecording prints the cost of workloads with the flight recorder off and on.
func measureRecording(s sizes) error {
	tracer, err := newTracer()
	if err != nil {
		return err
	}
	plain, err := newService(nil, 0)
	if err != nil {
		return err
	}
	tiny, err := newService(tracer, 0)
	if err != nil {
		return err
	}
	working, err := newService(tracer, 130*time.Microsecond)
	if err != nil {
		return err
	}
	fmt.Println("| workload | CPU per operation, off | on | ratio (quartiles) |")
	fmt.Println("| --- | --- | --- | --- |")
	for _, w := range []struct {
		name string
		run  func(int)
	}{
		{"HTTP, tiny handler, no spans", plain.run},
		{"HTTP, tiny handler, three spans", tiny.run},
		{"HTTP, handler of 130 µs, three spans", working.run},
		{"channel, there and back", pingPong},
	} {
		r := sidebyside.Turns(s.effort, offAndOn(w.run))
		on := r[1]
		fmt.Printf("| %s | %s | %s | %.3f (%.3f–%.3f) |\n", w.name, micro(r[0].CPU), micro(on.CPU), on.Ratio, on.Low, on.High)
	}
	fmt.Println()
	return nil
}

// offAndOn returns the cases without and with the flight recorder. Starting and
// stopping the recorder is not measured.
func offAndOn(run func(int)) []sidebyside.Case {
	var f *trace.FlightRecorder
	return []sidebyside.Case{
		{Name: "off", Run: run},
		{
			Name: "on", Run: run,
			Before: func() {
				f = trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: 10 * time.Second, MaxBytes: 4 << 20})
				must(f.Start())
			},
			After: func() { f.Stop() },
		},
	}
}

func micro(ns float64) string { return fmt.Sprintf("%.2f µs", ns/1000) }
