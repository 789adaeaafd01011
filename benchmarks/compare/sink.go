// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/benchmarks/forward"
)

// Servers are processes of their own, so that their CPU time is not ours.
const (
	roleForward = "forward" // takes and acknowledges Fluentd's protocol
	roleHTTP    = "http"    // takes whatever is posted
)

// sinks are the servers by role. Each serves until its input ends.
func sinks() map[string]func() error {
	return map[string]func() error{roleForward: forwardSink, roleHTTP: httpSink}
}

func forwardSink() error {
	s, err := forward.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(s.Address())
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, s.Close())
}

func httpSink() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // who sends it sees what goes wrong
		w.Header().Set("Content-Type", "application/x-protobuf")
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	fmt.Println(l.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	err = errors.Join(err, server.Close())
	if s := <-served; !errors.Is(s, http.ErrServerClosed) {
		err = errors.Join(err, s)
	}
	return err
}

// startSink returns the server's address and how to end it.
func startSink(role string) (address string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	cmd := exec.CommandContext(ctx, self, "-child", role)
	cmd.Stderr = os.Stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
		cancel()
		return "", nil, err
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
		cancel()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(line), stop, err
}
