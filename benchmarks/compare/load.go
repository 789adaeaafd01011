// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// load is a minimal HTTP client in the process of the application, with connections
// that stay open.
type load struct {
	conns []net.Conn
}

const connections = 16

// newLoad serves h on the loopback address until the process ends.
func newLoad(h http.Handler) (*load, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(l) }()
	load := &load{}
	for range connections {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		load.conns = append(load.conns, c)
	}
	return load, nil
}

// run sends n requests and waits for the responses.
func (l *load) run(n int) {
	var wg sync.WaitGroup
	for _, c := range l.conns {
		wg.Go(func() {
			buf := make([]byte, 16<<10)
			for range n/len(l.conns) + 1 {
				if err := request(c, buf); err != nil {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
}

func request(c net.Conn, buf []byte) error {
	if _, err := c.Write([]byte("GET /api/orders/1234 HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		return err
	}
	n := 0
	for !complete(buf[:n]) {
		k, err := c.Read(buf[n:])
		if err != nil {
			return err
		}
		n += k
	}
	if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("%w: %.60s", errAnswer, buf[:n])
	}
	return nil
}

// complete reports whether b is a complete response. A short one has a Content-Length, a
// long one is chunked.
func complete(b []byte) bool {
	header, body, found := bytes.Cut(b, []byte("\r\n\r\n"))
	if !found {
		return false
	}
	_, length, found := bytes.Cut(header, []byte("Content-Length: "))
	if !found {
		return bytes.HasSuffix(body, []byte("0\r\n\r\n"))
	}
	length, _, _ = bytes.Cut(length, []byte("\r\n"))
	n, err := strconv.Atoi(string(length))
	return err == nil && len(body) >= n
}
