// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"math/rand/v2"
	"time"

	"example.com/corpus/kit"
	"github.com/segmentio/kafka-go"
)

// kafkaRebalances imitates consumers in a group that is scaled: members join and leave every
// minute, and each time the group shares out its partitions anew. It has no spans.
func kafkaRebalances() kit.Program {
	return kit.Program{Name: "kafka-rebalances", Library: "segmentio/kafka-go", Spans: kit.None, Run: func(w *kit.World) {
		broker := w.Role("kafka", nil)
		go produceOrders(w, broker)
		members := kit.Shape{{0, 2}, {0.1, 2}, {0.3, 8}, {0.5, 3}, {0.7, 9}, {0.9, 4}, {1, 4}}
		var running []context.CancelFunc
		for ok := true; ok; ok = kit.Sleep(w.Ctx, time.Minute) {
			for n := int(members.At(w.X())); len(running) > n; running = running[1:] {
				running[0]()
			}
			for n := int(members.At(w.X())); len(running) < n; {
				ctx, cancel := context.WithCancel(w.Ctx)
				running = append(running, cancel)
				go consumeOrders(ctx, broker)
			}
		}
	}}
}

func produceOrders(w *kit.World, broker string) {
	out := &kafka.Writer{Addr: kafka.TCP(broker), Topic: "orders", Balancer: &kafka.RoundRobin{}, BatchTimeout: 50 * time.Millisecond}
	w.Arrivals(w.Ctx, kit.Wave(40), func() {
		w.Root("order", func(ctx context.Context) { _ = out.WriteMessages(ctx, kafka.Message{Value: []byte("an order")}) })
	})
}

func consumeOrders(ctx context.Context, broker string) {
	in := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{broker}, GroupID: "billing", Topic: "orders", MaxWait: 5 * time.Second, MinBytes: 1, MaxBytes: 1 << 20})
	defer in.Close()
	for {
		m, err := in.FetchMessage(ctx)
		if err != nil {
			return
		}
		time.Sleep(time.Duration(rand.Int64N(int64(60 * time.Millisecond))))
		if in.CommitMessages(ctx, m) != nil {
			return
		}
	}
}
