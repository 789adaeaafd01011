// SPDX-License-Identifier: Apache-2.0

package exectrace_test

import (
	"context"
	"net"
	"sync"
	"testing"
)

// startWaiting starts n goroutines in each of several kinds of waits, and returns a function
// that ends them.
func startWaiting(t testing.TB, n int) (release func()) {
	t.Helper()
	var wg sync.WaitGroup
	stop, never := make(chan struct{}), make(chan int)
	var mu sync.Mutex
	var cond sync.WaitGroup
	mu.Lock()
	cond.Add(1)
	ctx, cancel := context.WithCancel(t.Context())
	here, there := net.Pipe()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { _, _ = l.Accept() })
	wg.Go(func() { _, _ = there.Read(make([]byte, 1)) })
	for range n {
		wg.Go(func() { <-stop })
		wg.Go(func() {
			select {
			case <-never:
			case <-ctx.Done():
			}
		})
		wg.Go(func() { mu.Lock(); defer mu.Unlock() })
		wg.Go(cond.Wait)
		wg.Go(func() { deep(20, stop) })
	}
	return func() {
		close(stop)
		cancel()
		mu.Unlock()
		cond.Done()
		here.Close()
		l.Close()
		wg.Wait()
	}
}

//go:noinline
func deep(n int, stop <-chan struct{}) int {
	if n > 0 {
		return deep(n-1, stop) + 1
	}
	<-stop
	return 0
}
