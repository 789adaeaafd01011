// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gmpulse/gmpulse/examples/child"
)

// peers are the servers that the service depends on. They run in a child process, as
// they would in production. If the service itself accepted the connections that it
// leaks, gmpulse would take them for clients that stay connected.
type peers struct {
	upstream string // URL; the response body of "/" never ends
	silent   string // address; after healthyTime it accepts connections but sends nothing
	cache    string // address; each response is delayed by kind.cacheDelay

	stop func() // ends the child process and waits for it
}

// healthyTime is how long a peer answers before it stops answering.
const healthyTime = 10 * time.Second

// startPeers runs this program with -peers.
func startPeers(ctx context.Context, kind string) (*peers, error) {
	p := new(peers)
	var err error
	p.stop, err = child.Start(context.WithoutCancel(ctx), nil, []string{"-peers", kind}, &p.upstream, &p.silent, &p.cache)
	return p, err
}

// servePeers runs the peers in the child process. It prints their addresses and
// returns when the parent has ended.
func servePeers(ctx context.Context, k *kind) error {
	upstream := httptest.NewServer(http.HandlerFunc(answer))
	silent, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go serveSilent(silent)
	start := time.Now()
	cache, err := newRedis(ctx, func() time.Duration {
		if k.cacheDelay == nil {
			return 0
		}
		return k.cacheDelay(time.Since(start))
	})
	if err != nil {
		return err
	}
	fmt.Println(upstream.URL, silent.Addr(), cache.listener.Addr())
	<-child.ParentDone()
	return nil
}

// answer is the handler of the upstream.
func answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/prices":
		time.Sleep(5 * time.Millisecond)           // stands for work
		_, _ = w.Write(make([]byte, responseSize)) // fails if the client has disconnected
	case "/quick":
		_, _ = io.WriteString(w, "ok") // fails if the client has disconnected
	default:
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// serveSilent accepts connections until the listener is closed. During healthyTime it
// answers and closes each connection. Later it sends nothing and keeps them open.
func serveSilent(l net.Listener) {
	start := time.Now()
	var kept []net.Conn
	defer func() {
		for _, c := range kept {
			_ = c.Close()
		}
	}()
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			continue
		case time.Since(start) > healthyTime:
			kept = append(kept, c)
		default:
			_, _ = c.Write([]byte("1")) // fails if the client has disconnected
			_ = c.Close()
		}
	}
}
