// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// redis is a small server of our own that speaks enough RESP for a GET, and
// answers as late as late says.
type redis struct {
	listener net.Listener
	late     func() time.Duration
}

// newRedis serves until its process ends.
func newRedis(ctx context.Context, late func() time.Duration) (*redis, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &redis{listener: l, late: late}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(ctx, c)
		}
	}()
	return r, nil
}

func (r *redis) serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		words, err := readCommand(in)
		if err != nil {
			return
		}
		select {
		case <-time.After(r.late()):
		case <-ctx.Done():
			return
		}
		if !strings.EqualFold(words[0], "GET") {
			_, err = io.WriteString(c, "-ERR unknown command\r\n")
		} else {
			_, err = io.WriteString(c, "$2\r\n42\r\n")
		}
		if err != nil {
			return
		}
	}
}

// readCommand reads an array of bulk strings: *2, $3, GET, $5, stock.
func readCommand(in *bufio.Reader) ([]string, error) {
	n, err := readSize(in, '*')
	if err != nil {
		return nil, err
	}
	words := make([]string, n)
	for i := range words {
		size, err := readSize(in, '$')
		if err != nil {
			return nil, err
		}
		word := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
		words[i] = string(word[:size])
	}
	return words, nil
}

// readSize reads a line such as *2 or $3.
func readSize(in *bufio.Reader, mark byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimRight(strings.TrimPrefix(line, string(mark)), "\r\n"))
	if err != nil || n < 1 || n > 1024 || line[0] != mark {
		return 0, fmt.Errorf("redis: %q is no size", line)
	}
	return n, nil
}

// cachedStock asks the cache as services without a pool and a deadline do: a
// connection for each question, and all the patience in the world.
func cachedStock(ctx context.Context, w *world) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", w.peers.cache)
	if err != nil {
		return
	}
	defer c.Close()
	if _, err := io.WriteString(c, "*2\r\n$3\r\nGET\r\n$5\r\nstock\r\n"); err != nil {
		return
	}
	_, _ = bufio.NewReader(c).ReadString('\n') // the size is enough for us
}
