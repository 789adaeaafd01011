// SPDX-License-Identifier: Apache-2.0

package headroom

import (
	"runtime"
	"runtime/metrics"
	"sync/atomic"
)

// The memory of a goroutine profile: for each goroutine the runtime copies up to 128 program
// counters, and runtime/pprof writes them as text, whose buffer grows by doubling.
const (
	fixedBytes = 1 << 10 // for its record, its labels and its sample
	frameBytes = 48
	maxFrames  = 128
	// A stack of 2 KB has room for 1,250 bytes of frames, which have at least 24 bytes each.
	guardBytes    = 800
	minFrameBytes = 24
	// textFactor is for profiles as text, in which each frame has its function and its file.
	textFactor = 6
	// parseFactor is for parsing each byte of an uncompressed profile, parseBytes for any profile.
	parseFactor = 32
	parseBytes  = 256 << 10
)

// profile is what one goroutine profile took, and the process then, in bytes.
type profile struct {
	allocated     float64
	goroutines    float64
	stacks, inUse float64
}

// last is the last goroutine profile in the binary format.
var last atomic.Pointer[profile] //nolint:gochecknoglobals // it is a property of the process

// Goroutines returns how many bytes a profile of n goroutines may take. Before the first
// profile it assumes the deepest call chains that the size of the stacks permits. After
// one it assumes twice what that took, and the deepest call chains in new stacks.
func Goroutines(n int) int64 {
	now := readStacks()
	now.goroutines = float64(n)
	return int64(now.estimate(last.Load()))
}

// Text returns how many bytes a profile of n goroutines as text may take.
func Text(n int) int64 { return textFactor * Goroutines(n) }

// Parsing returns how many bytes parsing and grouping a profile may take, given its
// uncompressed size.
func Parsing(size int64) int64 { return parseBytes + parseFactor*size }

// Observe calls write, which writes a goroutine profile, and keeps what it allocates for
// later calls of [Goroutines]. Allocations of the application meanwhile count, too.
func Observe(write func() error) error {
	x := readStacks()
	x.goroutines = float64(runtime.NumGoroutine())
	before := x.allocated
	err := write()
	x.allocated = readStacks().allocated - before
	if err == nil {
		last.Store(x)
	}
	return err
}

// readStacks returns the bytes that the process has allocated so far, and its stacks.
func readStacks() *profile {
	v := readMetrics("/gc/heap/allocs:bytes", "/memory/classes/heap/stacks:bytes", "/gc/scan/stack:bytes")
	return &profile{allocated: v[0], stacks: v[1], inUse: v[2]}
}

// estimate returns how many bytes a profile may take, given an earlier one or nil.
func (p *profile) estimate(earlier *profile) float64 {
	one := deepest(p.stacks / max(1, p.goroutines))
	most := p.goroutines * one
	if earlier == nil {
		return most
	}
	deeper := 1.0
	if p.inUse > earlier.inUse { // at the last collection
		deeper = p.inUse / max(1, earlier.inUse)
	}
	started := one * max(0, p.goroutines-earlier.goroutines)
	grown := frameBytes * max(0, p.stacks-earlier.stacks) / minFrameBytes
	return min(most, 2*earlier.allocated*deeper+max(started, grown))
}

// deepest returns the bytes for one goroutine with a stack of the given size.
func deepest(stack float64) float64 {
	return fixedBytes + frameBytes*min(maxFrames, max(0, stack-guardBytes)/minFrameBytes)
}

// readMetrics returns values of runtime/metrics. Those that the runtime lacks are 0.
func readMetrics(names ...string) []float64 {
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	metrics.Read(samples)
	v := make([]float64, len(samples))
	for i, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			v[i] = float64(s.Value.Uint64())
		}
	}
	return v
}
