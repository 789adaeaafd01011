// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"time"

	"example.com/corpus/kit"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// arriving is the rate of clients that stay: n a second for the first 42 % of the
// run, 250 s of ten minutes, and none after that.
func arriving(n float64) kit.Shape { return kit.Shape{{0, n}, {0.42, n}, {0.421, 0}, {1, 0}} }

// etcdEmbedded embeds an etcd server, as its documentation shows. Clients connect at
// 8 a second, 2,000 in a run of ten minutes. Each watches a key, writes it twice a
// minute, and stays until 70 to 85 % of the run are over. It has no spans.
func etcdEmbedded() kit.Program {
	return kit.Program{Name: "etcd-embedded", Library: "go.etcd.io/etcd/server/v3", Spans: kit.None, Run: func(w *kit.World) {
		dir, err := os.MkdirTemp("", "corpus-etcd-")
		kit.Must(err)
		c := embed.NewConfig()
		c.Dir, c.LogLevel, c.UnsafeNoFsync = dir, "error", true
		c.ListenClientUrls, c.ListenPeerUrls = freeURL(w), freeURL(w)
		c.AdvertiseClientUrls, c.AdvertisePeerUrls = c.ListenClientUrls, c.ListenPeerUrls
		c.InitialCluster = c.InitialClusterFromName(c.Name)
		e, err := embed.StartEtcd(c)
		kit.Must(err)
		<-e.Server.ReadyNotify()
		w.Role("clients", etcdTarget{c.ListenClientUrls[0].String(), dir})
	}, Roles: map[string]func(*kit.Role){"clients": etcdClients}}
}

// freeURL returns a URL of a loopback port that is free.
func freeURL(w *kit.World) []url.URL {
	l := w.Listen()
	defer l.Close()
	return []url.URL{{Scheme: "http", Host: l.Addr().(*net.TCPAddr).String()}}
}

// etcdTarget is an etcd server, and the folder of its data, which the clients remove
// at the end.
type etcdTarget struct{ URL, Dir string }

func etcdClients(r *kit.Role) {
	var t etcdTarget
	r.Args(&t)
	defer os.RemoveAll(t.Dir) //nolint:errcheck // a temporary folder
	r.Say("ok")
	n := 0
	r.Arrivals(r.Ctx, arriving(8), func() {
		n++
		go t.stay(r, fmt.Sprint("key-", n), 0.7+0.15*rand.Float64())
	})
}

func (t etcdTarget) stay(r *kit.Role, key string, until float64) {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{t.URL}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return
	}
	defer c.Close() //nolint:errcheck // the session is over
	ctx, cancel := context.WithCancel(r.Ctx)
	defer cancel()
	go func() {
		for range c.Watch(ctx, key) {
		}
	}()
	for r.X() < until && kit.Sleep(ctx, kit.Around(30*time.Second)) {
		_, _ = c.Put(ctx, key, time.Now().String())
	}
}
