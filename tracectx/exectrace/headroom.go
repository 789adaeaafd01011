package exectrace

import (
	"fmt"
	"math"
	"runtime/metrics"
)

// readingFactor is the memory that making and reading a recording takes, as a
// multiple of its size.
const readingFactor = 4

// checkHeadroom returns ErrMemory if the process has a memory limit (GOMEMLIMIT,
// debug.SetMemoryLimit) and making a recording of the given size would exceed it.
// Objects that were allocated or became garbage since the last collection count as
// free memory: with a limit, the heap may grow up to it before each collection.
func checkHeadroom(bytes int) error {
	const (
		limit = iota
		total
		released
		objects
		live
	)
	s := []metrics.Sample{
		limit:    {Name: "/gc/gomemlimit:bytes"},
		total:    {Name: "/memory/classes/total:bytes"},
		released: {Name: "/memory/classes/heap/released:bytes"},
		objects:  {Name: "/memory/classes/heap/objects:bytes"},
		live:     {Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(s)
	var v [live + 1]uint64
	for i := range s {
		if s[i].Value.Kind() != metrics.KindUint64 {
			return nil // this version of Go does not have it
		}
		v[i] = s[i].Value.Uint64()
	}
	if v[limit] >= math.MaxInt64 {
		return nil
	}
	garbage := v[objects] - min(v[objects], v[live])
	used := v[total] - min(v[total], v[released]+garbage)
	if need := readingFactor * uint64(bytes); used+need > v[limit] {
		return fmt.Errorf("%w: %d bytes are in use of the limit of %d, a recording needs %d", ErrMemory, used, v[limit], need)
	}
	return nil
}
