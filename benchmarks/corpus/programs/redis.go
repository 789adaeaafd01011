// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/redis/go-redis/v9"
)

// redisPubSub imitates the Pub/Sub example of redis/go-redis: a websocket gateway
// subscribes for each of its users, and PubSub.Channel starts two goroutines. A user
// stays for 80 s on average.
func redisPubSub() kit.Program {
	return kit.Program{Name: "redis-pubsub", Library: "redis/go-redis/v9", Run: func(w *kit.World) {
		client := redis.NewClient(&redis.Options{Addr: w.Role("redis", nil)})
		go func() {
			for kit.Sleep(w.Ctx, 15*time.Second) {
				w.Root("news.publish", func(ctx context.Context) { client.Publish(ctx, "news", "x") })
			}
		}()
		w.Load(kit.Wave(1.5), func() {
			var sub *redis.PubSub
			w.Root("user.join", func(ctx context.Context) {
				sub = client.Subscribe(context.WithoutCancel(ctx), "news")
				go forward(sub)
			})
			kit.Sleep(w.Ctx, kit.Around(80*time.Second))
			w.Root("user.leave", func(context.Context) { _ = sub.Close() })
		})
	}}
}

func forward(sub *redis.PubSub) {
	for range sub.Channel() { //nolint:revive // a gateway writes the message to its user
	}
}

// redisBlocking has workers that wait in BLPOP for half a minute at a time, one for
// each queue, and queues come and go with the load. It has no spans.
func redisBlocking() kit.Program {
	return kit.Program{Name: "redis-blpop", Library: "redis/go-redis/v9", Spans: kit.None, Run: func(w *kit.World) {
		client := redis.NewClient(&redis.Options{Addr: w.Role("redis", nil), PoolSize: 200})
		w.Load(kit.Wave(1), func() {
			for end := time.Now().Add(kit.Around(100 * time.Second)); time.Now().Before(end); {
				_, _ = client.BLPop(w.Ctx, 30*time.Second, "empty").Result()
			}
		})
		w.Load(kit.Wave(10), func() { client.Get(w.Ctx, "greeting") })
	}}
}

// redisClientPerRequest imitates redis/go-redis#508: a client for each request, never
// closed. A client of v8 had a reaper of its own; this one subscribes once, as a
// handler that waits for a message does.
func redisClientPerRequest() kit.Program {
	return kit.Program{Name: "redis-client", Library: "redis/go-redis/v9", Spans: kit.None, Want: kit.Leak("", "redis/go-redis", "programs.cart"), Run: func(w *kit.World) {
		addr := w.Role("redis", nil)
		mux := http.NewServeMux()
		mux.HandleFunc("/cart", w.Handle("GET /cart", func(rw http.ResponseWriter, r *http.Request) { fmt.Fprintln(rw, cart(r.Context(), addr)) }))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/cart", Rate: kit.Constant(3)})
	}}
}

func cart(ctx context.Context, addr string) string {
	client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 2})
	client.Subscribe(context.WithoutCancel(ctx), "cart").Channel()
	return client.Get(ctx, "greeting").Val()
}
