// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"runtime/trace"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// cost is the cost of one analysis.
type cost struct {
	window    *exectrace.Window
	cpu       time.Duration // minimum over the repeats
	allocated uint64
	peak      uint64 // largest growth of the heap
}

// measureAnalysis prints the cost of analysing two recordings.
func measureAnalysis(s sizes) error {
	tracer, err := newTracer()
	if err != nil {
		return err
	}
	tiny, err := newService(tracer, 0)
	if err != nil {
		return err
	}
	fmt.Println("| recording | size | events | spans | analysis | speed | an event | allocated | peak heap |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, n := range []int{s.requests / 4, s.requests} {
		recorded, err := record(func() { tiny.run(n) })
		if err != nil {
			return err
		}
		c, err := analyze(recorded, s.repeats)
		if err != nil {
			return err
		}
		fmt.Printf("| %d requests of three spans | %s | %d | %d | %v | %.0f MB/s | %.0f ns | %s | %s |\n", n, mb(uint64(len(recorded))),
			c.window.Events, c.window.Spans, c.cpu.Round(time.Millisecond), float64(len(recorded))/1e6/c.cpu.Seconds(),
			float64(c.cpu.Nanoseconds())/float64(c.window.Events), mb(c.allocated), mb(c.peak))
	}
	fmt.Println()
	return nil
}

func record(f func()) ([]byte, error) {
	var b bytes.Buffer
	if err := trace.Start(&b); err != nil {
		return nil, err
	}
	f()
	trace.Stop()
	return b.Bytes(), nil
}

func analyze(recorded []byte, repeats int) (c cost, err error) {
	c.cpu = math.MaxInt64
	for range repeats {
		runtime.GC() // so that the peak does not include earlier garbage
		peak := watchHeap()
		before := allocated()
		start := sidebyside.CPU()
		c.window, err = exectrace.Analyze(context.Background(), bytes.NewReader(recorded), math.MaxInt, nil)
		if err != nil {
			return c, err
		}
		c.cpu = min(c.cpu, time.Duration(sidebyside.CPU()-start))
		c.allocated = allocated() - before
		c.peak = max(c.peak, peak())
	}
	return c, nil
}

func allocated() uint64 { return read("/gc/heap/allocs:bytes") }

func read(name string) uint64 {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// watchHeap samples the heap every millisecond until peak is called, which returns the
// largest growth since the start.
func watchHeap() (peak func() uint64) {
	const name = "/memory/classes/heap/objects:bytes"
	start, most := read(name), uint64(0)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-stop:
				return
			case <-t.C:
				if now := read(name); now > start {
					most = max(most, now-start)
				}
			}
		}
	})
	return func() uint64 {
		close(stop)
		wg.Wait()
		return most
	}
}

func mb(n uint64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
