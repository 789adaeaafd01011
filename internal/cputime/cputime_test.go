// SPDX-License-Identifier: Apache-2.0

package cputime_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
)

// Work of other threads does not count.
func TestMeterCountsItsOwnThreadOnly(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux reports thread times")
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				continue // busy
			}
		}
	}()
	m := cputime.Start()
	began := time.Now()
	time.Sleep(50 * time.Millisecond)
	idle := m.Elapsed()
	for m.Elapsed() < idle+20*time.Millisecond { // busy
	}
	total, wall := m.Stop(), time.Since(began)
	close(stop)
	<-done
	if idle > 25*time.Millisecond {
		t.Errorf("%v used while asleep", idle)
	}
	if total < 20*time.Millisecond || total > wall {
		t.Errorf("%v used in %v", total, wall)
	}
}
