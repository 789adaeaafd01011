package exectrace

import (
	"fmt"
	"math"
	"runtime/metrics"
)

// readingFactor is how much memory the making and reading of a recording takes,
// as a multiple of its size.
const readingFactor = 4

// checkHeadroom returns ErrMemory if there is a memory limit (GOMEMLIMIT,
// debug.SetMemoryLimit) under which a recording of so many bytes does not fit. What
// the collector would free now counts as free.
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
			return nil // this version of Go does not tell
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
