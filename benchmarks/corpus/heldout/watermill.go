// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"sync/atomic"

	"example.com/corpus/kit"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

// watermillUnacked imitates ThreeDotsLabs/watermill#275: a consumer neither acks nor
// nacks a message that it cannot decode, and the goroutines that gochannel started for
// the message wait for it for ever. One order in three is such a message.
func watermillUnacked() kit.Program {
	return kit.Program{Name: "watermill-unacked", Library: "ThreeDotsLabs/watermill", Want: kit.Leak("POST /orders", "pubsub/gochannel", "heldout.placeOrder"), Run: func(w *kit.World) {
		bus := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 16}, watermill.NopLogger{})
		orders, err := bus.Subscribe(w.Ctx, "orders")
		kit.Must(err)
		go func() {
			for m := range orders {
				if string(m.Payload) != "order" {
					continue // forgets to ack
				}
				m.Ack()
			}
		}()
		var n atomic.Int64
		w.ServeRoute("POST /orders", 3, func(context.Context) { placeOrder(bus, n.Add(1)%3 == 0) })
	}}
}

func placeOrder(bus *gochannel.GoChannel, broken bool) {
	payload := "order"
	if broken {
		payload = "ordre"
	}
	_ = bus.Publish("orders", message.NewMessage(watermill.NewUUID(), []byte(payload)))
}
