// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/gmpulse/gmpulse/examples/child"
)

// peers are the servers that kinds call. They run in a child process. If the measured
// process accepted its own leaked connections, the detector would take them for
// clients that stay connected.
type peers struct {
	endless string // URL of a response whose body never ends
	slow    string // URL of a response that never comes
	silent  string // address of a server that accepts connections but sends nothing

	stop func() // keeps the child's standard input reachable: it would be closed by the garbage collector
}

// startPeers runs the peers in a child process, which ends with this one.
func startPeers() (p peers, err error) {
	p.stop, err = child.Start(context.Background(), nil, []string{"-peers"}, &p.endless, &p.slow, &p.silent)
	return p, err
}

// servePeers runs in the child: it prints the addresses and serves until the parent
// has ended.
func servePeers() error {
	endless := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", "1000000")
		_, _ = rw.Write(make([]byte, 4096))
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	silent, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		var held []net.Conn // open until the process ends
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			held = append(held, c)
		}
	}()
	fmt.Println(endless.URL, slow.URL, silent.Addr())
	<-child.ParentDone()
	return nil
}
