// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"net/http"
	"strings"
	"time"

	"example.com/corpus/kit"
	"github.com/centrifugal/centrifuge"
	client "github.com/centrifugal/centrifuge-go"
)

// centrifugeFeed imitates centrifugal/centrifuge's chat example: clients connect,
// subscribe to a channel, and get what is published.
func centrifugeFeed() kit.Program {
	return kit.Program{Name: "centrifuge-feed", Library: "centrifugal/centrifuge", Run: func(w *kit.World) {
		node, err := centrifuge.New(centrifuge.Config{})
		kit.Must(err)
		node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
			return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: "user"}}, nil
		})
		node.OnConnect(func(c *centrifuge.Client) {
			c.OnSubscribe(func(_ centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) {
				done(centrifuge.SubscribeReply{}, nil)
			})
		})
		kit.Must(node.Run())
		mux := http.NewServeMux()
		connect := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{})
		mux.HandleFunc("/connection", w.Handle("GET /connection", connect.ServeHTTP))
		url := w.Serve(mux)
		w.Role("feed-clients", strings.Replace(url, "http", "ws", 1)+"/connection")
		for kit.Sleep(w.Ctx, 10*time.Second) {
			w.Root("feed.publish", func(context.Context) { _, _ = node.Publish("feed", []byte(`{"goal":1}`)) })
		}
	}, Roles: map[string]func(*kit.Role){"feed-clients": centrifugeClients}}
}

func centrifugeClients(r *kit.Role) {
	var url string
	r.Args(&url)
	r.Say("ok")
	r.Arrivals(r.Ctx, kit.Wave(3), func() {
		go func() {
			c := client.NewJsonClient(url, client.Config{})
			defer c.Close()
			if c.Connect() != nil {
				return
			}
			sub, err := c.NewSubscription("feed")
			if err != nil || sub.Subscribe() != nil {
				return
			}
			kit.Sleep(r.Ctx, kit.Around(75*time.Second))
		}()
	})
}
