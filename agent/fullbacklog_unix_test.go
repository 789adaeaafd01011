// SPDX-License-Identifier: Apache-2.0

//go:build unix

package agent_test

import (
	"fmt"
	"syscall"
	"testing"
)

// listenWithoutBacklog returns the address of a socket with the smallest backlog on which no
// connection is accepted.
func listenWithoutBacklog(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	in, _ := name.(*syscall.SockaddrInet4)
	return fmt.Sprintf("127.0.0.1:%d", in.Port)
}
