// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// cost is the measured cost of one step.
type cost struct {
	Step         string
	CPU          time.Duration // of the process, minimum over the repeats: other jobs only add to it
	Pause, Worst time.Duration // median and maximum of the longest stop of the world in a repeat
	Allocated    uint64        // minimum over the repeats
	Repeats      int
}

// step is one operation of the agent.
type step struct {
	name    string
	inner   int // calls in a repeat: one call may be too short for the clock
	repeats int
	do      func() error
}

// measure starts n waiting goroutines and measures each step.
func measure(n int) []cost {
	stop := park(n)
	defer close(stop)
	runtime.GC() //nolint:forbidigo // so that the first repeat does not pay for the garbage of park
	var all []cost
	for _, s := range steps(n) {
		c, err := s.measure()
		if err != nil {
			fmt.Fprintf(os.Stderr, "%d goroutines, %s: %v\n", n, s.name, err)
			continue
		}
		all = append(all, c)
	}
	return all
}

func steps(n int) []step {
	repeats := max(3, min(30, 300_000/n))
	reader := sampler.NewReader(sampler.Config{})
	all := []step{
		{"tick: sample and snapshot", 1000, 30, func() error {
			reader.Read(sampler.Tick{Time: time.Now()})
			reader.Snapshot()
			return nil
		}},
		{"pulse", 1000, 30, func() error {
			reader.Pulse(0)
			return nil
		}},
		{"survey", 1, repeats, func() error { return survey("goroutine") }},
	}
	if r, err := recording(min(repeats, 5)); err == nil {
		all = append(all, r)
	}
	if pprof.Lookup("goroutineleak") != nil {
		all = append(all, step{"proof (goroutineleak)", 1, min(repeats, 5), func() error { return survey("goroutineleak") }})
	}
	return all
}

// recordingLength is the requested length. Above 20,000 goroutines the recorder
// shortens it to a second.
const recordingLength = 3 * time.Second

// recording makes a flight recording of a process whose goroutines all wait. It prints
// the recording's size and own estimate of its cost to standard error.
func recording(repeats int) (step, error) {
	r, err := exectrace.New(exectrace.Config{
		MaxGoroutines: 1 << 30, MaxBytes: 1 << 30, MaxEvents: 1 << 30, Logger: slog.New(slog.DiscardHandler),
	})
	return step{"recording of 3 s", 1, repeats, func() error {
		rec, err := r.Record(context.Background(), recordingLength)
		if err == nil {
			fmt.Fprintf(os.Stderr, "%d goroutines: a recording of %v has %d events and %d bytes; its estimated cost is %v\n",
				len(rec.Goroutines), round(rec.Duration), rec.Events, rec.Bytes, round(rec.CPU))
		}
		return err
	}}, err
}

// survey makes a survey of a profile, however many goroutines there are.
func survey(name string) error {
	var b bytes.Buffer
	if err := pprof.Lookup(name).WriteTo(&b, 0); err != nil {
		return err
	}
	_, err := goroutines.ParseSurvey(b.Bytes(), goroutines.SurveyConfig{RootLabel: "root", EpochLabel: "epoch"})
	return err
}

func (s *step) measure() (cost, error) {
	c := cost{Step: s.name, CPU: 1 << 62, Allocated: 1 << 62, Repeats: s.repeats}
	if err := s.do(); err != nil { // warm up
		return c, err
	}
	var pauses []time.Duration
	for range s.repeats {
		before, allocated, cpu := pauseCounts(), allocs(), processCPU()
		for range s.inner {
			if err := s.do(); err != nil {
				return c, err
			}
		}
		inner := time.Duration(s.inner)
		c.CPU = min(c.CPU, (processCPU()-cpu)/inner)
		c.Allocated = min(c.Allocated, (allocs()-allocated)/uint64(s.inner))
		pauses = append(pauses, longest(before, pauseCounts()))
	}
	slices.Sort(pauses)
	c.Pause, c.Worst = pauses[len(pauses)/2], pauses[len(pauses)-1]
	return c, nil
}

// park starts n goroutines that wait with a dozen frames on their stacks and with two
// labels, which have a hundred combinations of values. A service with the agent has
// similar goroutines.
func park(n int) (stop chan struct{}) {
	stop = make(chan struct{})
	ready := make(chan struct{})
	for i := range n {
		labels := pprof.Labels("root", "GET /"+strconv.Itoa(i%20), "epoch", strconv.Itoa(i%5*10))
		go pprof.Do(context.Background(), labels, func(context.Context) {
			descend(8, func() {
				ready <- struct{}{}
				<-stop
			})
		})
	}
	for range n {
		<-ready
	}
	return stop
}

//go:noinline
func descend(depth int, f func()) {
	if depth == 0 {
		f()
		return
	}
	descend(depth-1, f)
}

func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func allocs() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// pauseKeys returns the names of the runtime's histograms of stop-the-world pauses.
func pauseKeys() []string {
	return []string{"/sched/pauses/total/other:seconds", "/sched/pauses/total/gc:seconds"}
}

func pauseCounts() []*metrics.Float64Histogram {
	var all []*metrics.Float64Histogram
	for _, k := range pauseKeys() {
		s := []metrics.Sample{{Name: k}}
		metrics.Read(s)
		h := s[0].Value.Float64Histogram()
		all = append(all, &metrics.Float64Histogram{Counts: slices.Clone(h.Counts), Buckets: h.Buckets})
	}
	return all
}

// longest returns the upper bound of the highest bucket with a new pause, or 0 if there
// was no pause.
func longest(before, after []*metrics.Float64Histogram) (d time.Duration) {
	for i := range after {
		for j, n := range after[i].Counts {
			if n > before[i].Counts[j] {
				d = max(d, time.Duration(after[i].Buckets[j+1]*float64(time.Second)))
			}
		}
	}
	return d
}
