// SPDX-License-Identifier: Apache-2.0

// Kafka is an in-memory broker for tests. It implements Kafka's protocol including consumer
// groups.
//
//	go -C internal/peers/jaeger run ./kafka -topic jaeger-spans
//
// It prints its address and ends at an interrupt or SIGTERM.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	topic := flag.String("topic", "test", "topic to create, with three partitions")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, *topic))
	if err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
	defer cluster.Close()
	fmt.Println("kafka", cluster.ListenAddrs()[0])
	<-ctx.Done()
}
