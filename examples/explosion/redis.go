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

// redis is a minimal server for the GET command of Redis. It waits for delay before
// each response.
type redis struct {
	listener net.Listener
	delay    func() time.Duration
}

// newRedis starts a server that runs until its process ends.
func newRedis(ctx context.Context, delay func() time.Duration) (*redis, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &redis{listener: l, delay: delay}
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
		case <-time.After(r.delay()):
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

// readCommand reads a RESP array of bulk strings, such as *2, $3, GET, $5, stock.
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

// readSize reads a line that begins with mark, such as *2 or $3.
func readSize(in *bufio.Reader, mark byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimRight(strings.TrimPrefix(line, string(mark)), "\r\n"))
	if err != nil || n < 1 || n > 1024 || line[0] != mark {
		return 0, fmt.Errorf("redis: malformed size %q", line)
	}
	return n, nil
}

// cachedStock reads from the cache as services without a connection pool do: it dials
// for each request. It sets no deadline.
func cachedStock(ctx context.Context, s *service) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", s.peers.cache)
	if err != nil {
		return
	}
	defer c.Close()
	if _, err := io.WriteString(c, "*2\r\n$3\r\nGET\r\n$5\r\nstock\r\n"); err != nil {
		return
	}
	_, _ = bufio.NewReader(c).ReadString('\n') // the first line is the size; the rest does not matter
}
