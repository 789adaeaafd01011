// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"

	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/hostfield"
)

func TestReadOnEverySystem(t *testing.T) {
	r := host.NewReader(host.Config{Logger: slog.New(slog.DiscardHandler)})
	s := r.Read(t.Context())
	if n, ok := s.Get(hostfield.CPUUsable); !ok || n <= 0 || n > float64(runtime.NumCPU()) {
		t.Errorf("usable CPUs %v, %v", n, ok)
	}
	r.Read(t.Context())
	if _, ok := s.Get(hostfield.CPUUsable); !ok {
		t.Error("a later Read changed an earlier sample")
	}
}

func TestDoneContextReadsNothing(t *testing.T) {
	r := host.NewReader(host.Config{Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := r.Read(ctx)
	for i := range hostfield.Count {
		if v, ok := s.Get(hostfield.Field(i)); ok {
			t.Errorf("field %d is %v", i, v)
		}
	}
	if n := r.Failures(); n != 0 {
		t.Errorf("%d failures, want none: it was the caller who gave up", n)
	}
}

func ExampleReader() {
	r := host.NewReader(host.Config{})
	s := r.Read(context.Background())
	if cpus, ok := s.Get(hostfield.CPUUsable); ok {
		fmt.Println(cpus > 0)
	}
	// Output: true
}

// BenchmarkRead reads this machine with warm caches.
func BenchmarkRead(b *testing.B) {
	r := host.NewReader(host.Config{Logger: slog.New(slog.DiscardHandler)})
	b.ReportAllocs()
	for b.Loop() {
		r.Read(b.Context())
	}
}
