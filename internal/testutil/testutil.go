// SPDX-License-Identifier: Apache-2.0

// Package testutil has the helpers that tests of several packages share.
package testutil

import (
	"errors"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// timeout bounds Eventually and Retry. It is far longer than any test expects to
// wait, because CI machines run other jobs too.
const timeout = time.Minute

// Eventually calls ok until it returns true. After a minute it fails the test with
// what, which names the awaited condition. It waits in real time, so it is not for
// a synctest bubble.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	Retry(tb, func() error {
		if !ok() {
			return errors.New("timeout: " + what)
		}
		return nil
	})
}

// Retry calls f until it returns nil. After a minute it fails the test with the
// last error. It waits in real time, so it is not for a synctest bubble.
func Retry(tb testing.TB, f func() error) {
	tb.Helper()
	const longest = 100 * time.Millisecond
	deadline := time.Now().Add(timeout)
	for wait := 2 * time.Millisecond; ; wait = min(2*wait, longest) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatal(err)
		}
		<-time.After(wait)
	}
}

// HeapAlloc returns the bytes of live heap objects after a garbage collection.
func HeapAlloc() int64 {
	runtime.GC() //nolint:forbidigo // a test measures what stays reachable
	runtime.GC() //nolint:forbidigo // the second one frees what finalizers and pools held
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
