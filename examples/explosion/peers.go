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
	"os"
	"os/exec"
	"time"
)

// peers are the servers that the service depends on. They run in a process of their
// own, as in real life: if this process accepted the connections that it leaks, gmpulse
// could not tell them from clients that stay connected.
type peers struct {
	upstream string // URL; answers "/" with a body that goes on for ever
	silent   string // address; answers for ten seconds, then takes connections and says nothing
	cache    string // address; answers as late as the kind says

	end func() // ends the process and waits for it
}

// goodTime is for how long peers that fall silent answer.
const goodTime = 10 * time.Second

// startPeers runs this program with -peers.
func startPeers(ctx context.Context, kind string) (*peers, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self, "-peers", kind) // ends with its standard input
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peers{end: func() { _, _ = in.Close(), cmd.Wait() }}
	if _, err := fmt.Fscan(out, &p.upstream, &p.silent, &p.cache); err != nil {
		p.end()
		return nil, fmt.Errorf("the peers do not start: %w", err)
	}
	return p, nil
}

// servePeers is the process of the peers. It prints their addresses and ends when its
// standard input does, with the process that started it.
func servePeers(ctx context.Context, k *kind) error {
	upstream := httptest.NewServer(http.HandlerFunc(answer))
	silent, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go hold(silent)
	start := time.Now()
	cache, err := newRedis(ctx, func() time.Duration {
		if k.late == nil {
			return 0
		}
		return k.late(time.Since(start))
	})
	if err != nil {
		return err
	}
	fmt.Println(upstream.URL, silent.Addr(), cache.listener.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// answer serves the upstream.
func answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/prices":
		time.Sleep(5 * time.Millisecond)        // its work
		_, _ = w.Write(make([]byte, priceList)) // the client may be gone
	case "/quick":
		_, _ = io.WriteString(w, "ok") // the client may be gone
	default:
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// hold accepts connections until the listener is closed. It answers and closes those of
// the first ten seconds and keeps the others.
func hold(l net.Listener) {
	start := time.Now()
	var kept []net.Conn
	defer func() {
		for _, c := range kept {
			_ = c.Close() // nobody to tell
		}
	}()
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			continue
		case time.Since(start) > goodTime:
			kept = append(kept, c)
		default:
			_, _ = c.Write([]byte("1")) // the client may be gone
			_ = c.Close()
		}
	}
}
