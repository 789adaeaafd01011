// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// dialHTTP returns a minimal HTTP client with one connection. path returns the path of the n-th
// request, from 1.
func dialHTTP(address string, path func(n int) string) (func() (int, error), error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 16<<10)
	n := 0
	return func() (int, error) {
		n++
		request := "GET " + path(n) + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
		if _, err := c.Write([]byte(request)); err != nil {
			return 0, err
		}
		return 1, readResponse(c, buf)
	}, nil
}

var errResponse = errors.New("the application did not answer with status 200")

func readResponse(c net.Conn, buf []byte) error {
	n := 0
	for !complete(buf[:n]) {
		k, err := c.Read(buf[n:])
		if err != nil {
			return err
		}
		n += k
	}
	if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("%w: %.200s", errResponse, buf[:n])
	}
	return nil
}

// complete reports whether b is a complete response with a Content-Length.
func complete(b []byte) bool {
	header, body, found := bytes.Cut(b, []byte("\r\n\r\n"))
	if !found {
		return false
	}
	_, length, found := bytes.Cut(header, []byte("Content-Length: "))
	length, _, _ = bytes.Cut(length, []byte("\r\n"))
	n, err := strconv.Atoi(string(length))
	return found && err == nil && len(body) >= n
}
