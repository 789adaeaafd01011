// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
)

// peers are the addresses of the servers that kinds call. They run in a process of
// their own: in that of their clients, connections that leak would keep step with the
// connections that the process accepts.
type peers struct {
	endless string // URL of a body without an end
	slow    string // URL of an answer that never comes
	silent  string // address that takes connections and says nothing

	life io.Closer // the child ends when it is closed, also by the garbage collector
}

// startPeers runs the peers in a child, which ends with this process.
func startPeers() (p peers, err error) {
	cmd := exec.CommandContext(context.Background(), os.Args[0], "-peers")
	if p.life, err = cmd.StdinPipe(); err != nil {
		return p, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return p, err
	}
	if err := cmd.Start(); err != nil {
		return p, err
	}
	_, err = fmt.Fscan(out, &p.endless, &p.slow, &p.silent)
	return p, err
}

// servePeers is the child: it prints the addresses and serves until its input ends.
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
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
