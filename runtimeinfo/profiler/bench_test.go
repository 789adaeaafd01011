// SPDX-License-Identifier: Apache-2.0

package profiler_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// BenchmarkAddCPU measures reading and storing a profile of a second of two busy CPUs: 200 samples in
// 150 stacks of 24 functions under 10 root spans.
func BenchmarkAddCPU(b *testing.B) {
	var samples []sample
	for i := range 150 {
		var stack strings.Builder
		stack.WriteString(strings.Repeat("net/http.serve ", 4))
		for j := range 20 {
			fmt.Fprintf(&stack, "main.f%d ", (i*j)%400)
		}
		samples = append(samples, sample{stack.String(), root(fmt.Sprintf("GET /%d", i%10)), 1 + int64(i%3)/2})
	}
	data := cpuProfile(b, samples...)
	p := newProfiler(b, profiler.Config{RootLabel: "root"})
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	at := time.Unix(1000, 0)
	for b.Loop() {
		at = at.Add(30 * time.Second)
		if err := p.AddCPU(data, at, at.Sub(time.Unix(0, 0)), time.Second); err != nil {
			b.Fatal(err)
		}
	}
}
