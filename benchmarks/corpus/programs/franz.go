// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"time"

	"example.com/corpus/kit"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franzConsumers imitates the goroutine-per-partition example of twmb/franz-go: a
// group consumer, each partition's records worked off by a goroutine of its own,
// beside a producer whose rate rises and falls. A message is a root span.
func franzConsumers() kit.Program {
	return kit.Program{Name: "franz-partitions", Library: "twmb/franz-go", Run: func(w *kit.World) {
		address := w.Role("kafka", nil)
		client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("billing"))
		kit.Must(err)
		go func() {
			partitions := map[int32]chan *kgo.Record{}
			for w.Ctx.Err() == nil {
				client.PollFetches(w.Ctx).EachRecord(func(record *kgo.Record) {
					c := partitions[record.Partition]
					if c == nil {
						c = make(chan *kgo.Record, 100)
						partitions[record.Partition] = c
						go bill(w, c)
					}
					c <- record
				})
			}
		}()
		producer, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic("orders"))
		kit.Must(err)
		w.Load(kit.Wave(15), func() { producer.ProduceSync(w.Ctx, kgo.StringRecord("order")) })
	}}
}

func bill(w *kit.World, records <-chan *kgo.Record) {
	for range records {
		w.Root("orders process", func(context.Context) { time.Sleep(300 * time.Millisecond) })
	}
}

// franzGroups starts a consumer group member for each report that runs, without
// spans, and closes it after a minute and a half: groups rebalance meanwhile.
func franzGroups() kit.Program {
	return kit.Program{Name: "franz-members", Library: "twmb/franz-go", Spans: kit.None, Run: func(w *kit.World) {
		address := w.Role("kafka", nil)
		w.Load(kit.Wave(0.25), func() {
			client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics("orders"))
			if err != nil {
				return
			}
			ctx, cancel := context.WithTimeout(w.Ctx, kit.Around(90*time.Second))
			defer cancel()
			defer client.Close()
			for ctx.Err() == nil {
				client.PollFetches(ctx)
			}
		})
	}}
}
