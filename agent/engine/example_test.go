// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// An engine with one exporter samples until its context is done.
func ExampleNew() {
	n := 0
	e, err := engine.New(
		engine.WithInterval(100*time.Millisecond),
		engine.WithExporter("count", exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error {
			n++
			return nil
		}), engine.EveryTick()))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 250*time.Millisecond)
	defer cancel()
	if err := e.Run(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("delivered more than one snapshot:", n > 1)
	// Output: delivered more than one snapshot: true
}

// A service that stops on a signal delivers a last snapshot. Stop needs a context of its own,
// because the context of Start is done.
func ExampleEngine_Stop() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var last uint64
	e, err := engine.New(engine.WithExporter("last", exporters.Func(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		last = s.Seq
		return nil
	})))
	if err != nil {
		log.Fatal(err)
	}
	if err := e.Start(ctx); err != nil {
		log.Fatal(err)
	}

	stop() // the example does not wait for a signal
	<-ctx.Done()

	shutdown, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := e.Stop(shutdown); err != nil {
		log.Fatal(err)
	}
	fmt.Println("delivered the last snapshot:", last == e.Snapshot().Seq)
	// Output: delivered the last snapshot: true
}

// Gauge adds a metric of the application to every snapshot.
func ExampleEngine_Gauge() {
	queue := make(chan int, 8)
	queue <- 1
	e, err := engine.New(engine.WithInterval(20 * time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	err = e.Gauge("queue.depth", "{item}", "Number of items in the queue.", func() float64 { return float64(len(queue)) })
	if err != nil {
		log.Fatal(err)
	}
	if err := e.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	for range 500 { // each tick calls the function, but waits for it for 10 ms only
		time.Sleep(10 * time.Millisecond)
		if s := e.Snapshot(); s != nil {
			if depth, ok := s.Number("queue.depth"); ok {
				fmt.Println(depth)
				break
			}
		}
	}
	if err := e.Stop(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: 1
}

// requests is an analyzer that publishes the number of requests.
type requests struct {
	metric *runtimeinfo.Metric
	served func() uint64
}

func (r *requests) Metrics() []*runtimeinfo.Metric { return []*runtimeinfo.Metric{r.metric} }

func (r *requests) Analyze(d *runtimeinfo.Draft) { d.Add(r.metric, float64(r.served())) }

// An analyzer declares its metrics and adds their values at every tick.
func ExampleWithAnalyzer() {
	e, err := engine.New(engine.WithAnalyzer("requests", &requests{
		metric: &runtimeinfo.Metric{Name: "app.requests", Unit: "{request}", Kind: runtimeinfo.KindCounter, Help: "Requests served."},
		served: func() uint64 { return 42 },
	}))
	if err != nil {
		log.Fatal(err)
	}
	if err := e.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	if err := e.Stop(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Snapshot().Number("app.requests"))
	// Output: 42 true
}

// An analyzer that works between ticks has a function that the engine runs on its own goroutine.
func ExampleWithBackground() {
	reads := make(chan int)
	e, err := engine.New(engine.WithBackground("reader", func(ctx context.Context) {
		for n := 1; ; n++ {
			select {
			case reads <- n:
			case <-ctx.Done():
				close(reads)
				return
			}
		}
	}))
	if err != nil {
		log.Fatal(err)
	}
	if err := e.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-reads, <-reads)
	if err := e.Stop(context.Background()); err != nil { // waits for the function
		log.Fatal(err)
	}
	_, open := <-reads
	fmt.Println("running:", open)
	// Output:
	// 1 2
	// running: false
}
