// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gmpulse/gmpulse/benchmarks/forward"
	"github.com/gmpulse/gmpulse/examples/child"
)

// The servers run in child processes, so that their CPU time is not measured.
const (
	roleForward = "forward" // acknowledges records of Fluentd's Forward protocol
	roleHTTP    = "http"    // answers every request with status 200
)

// servers returns the servers by role. Each runs until the parent process has ended.
func servers() map[string]func() error {
	return map[string]func() error{roleForward: serveForward, roleHTTP: serveHTTP}
}

func serveForward() error {
	s, err := forward.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(s.Address())
	<-child.ParentDone()
	return s.Close()
}

func serveHTTP() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the client reports errors
		w.Header().Set("Content-Type", "application/x-protobuf")
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	fmt.Println(l.Addr())
	<-child.ParentDone()
	err = server.Close()
	if s := <-served; !errors.Is(s, http.ErrServerClosed) {
		err = errors.Join(err, s)
	}
	return err
}

// startServer starts a server in a child process and returns its address.
func startServer(role string) (address string, stop func(), err error) {
	stop, err = child.Start(context.Background(), nil, []string{"-child", role}, &address)
	return address, stop, err
}
