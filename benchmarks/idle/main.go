// SPDX-License-Identifier: Apache-2.0

// Idle measures the CPU time and the context switches of a process that does nothing but run the
// agent with its default settings. Run it with
//
//	go -C benchmarks run ./idle
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"syscall"
	"time"

	"github.com/gmpulse/gmpulse/agent"
)

func main() {
	length := flag.Duration("for", 2*time.Minute, "duration of the measurement")
	without := flag.Bool("without", false, "measure the process without the agent")
	flag.Parse()
	if err := measure(*length, *without); err != nil {
		log.Fatal(err)
	}
}

func measure(length time.Duration, without bool) error {
	if !without {
		a, err := agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			return err
		}
		defer func() { _ = a.Stop(context.Background()) }() // the process ends
	}
	time.Sleep(10 * time.Second) // until the agent has recognized that the process is idle
	cpu, switches := usage()
	time.Sleep(length)
	after, more := usage()
	fmt.Printf("%.4f %% of a core, %.1f context switches a second\n", 100*(after-cpu).Seconds()/length.Seconds(), float64(more-switches)/length.Seconds())
	return nil
}

// usage returns the CPU time of the process and the number of times that one of its threads has waited.
func usage() (cpu time.Duration, switches int64) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		log.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), r.Nvcsw
}
