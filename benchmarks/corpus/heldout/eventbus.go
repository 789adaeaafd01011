// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// eventBus leaks the subscribers of an event bus, as handlers do that forget to
// unsubscribe: each request leaves a goroutine that still gets every price, twice a
// second. Written with knowledge of the detector: the goroutines that leak are at work.
func eventBus() kit.Program {
	return kit.Program{Name: "bus-never-unsubscribed", Library: "the language", Long: true, Want: kit.Leak("GET /prices", "heldout.followPrices"), Run: func(w *kit.World) {
		var b priceBus
		go func() {
			for price := 0; kit.Sleep(w.Ctx, 500*time.Millisecond); price++ {
				b.publish(price)
			}
		}()
		w.ServeRoute("GET /prices", 2, func(context.Context) {
			p := &prices{first: make(chan struct{})}
			go followPrices(b.subscribe(), p)
			<-p.first
		})
	}}
}

type priceBus struct {
	mu          sync.Mutex
	subscribers []chan int
}

func (b *priceBus) subscribe() <-chan int {
	c := make(chan int, 4)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscribers = append(b.subscribers, c)
	return c
}

func (b *priceBus) publish(price int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.subscribers {
		select {
		case c <- price:
		default:
		}
	}
}

// prices are those that one request has seen.
type prices struct {
	once  sync.Once
	first chan struct{}
	last  int
}

func followPrices(c <-chan int, p *prices) {
	for price := range c {
		p.last = price
		p.once.Do(func() { close(p.first) })
	}
}
