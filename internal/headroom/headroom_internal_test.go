// SPDX-License-Identifier: Apache-2.0

package headroom

import (
	"errors"
	"math"
	"runtime/debug"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	const mb = 1 << 20
	none := math.Inf(1)
	for name, test := range map[string]struct {
		u    use
		need int64
		why  string // "": it fits
	}{
		"no limits":                {use{goLimit: none, container: none, mapped: 1e12}, 1 << 40, ""},
		"far from both":            {use{goLimit: 1600 * mb, container: 1600 * mb, mapped: 100 * mb, inContainer: 100 * mb}, 500 * mb, ""},
		"container nearly full":    {use{goLimit: none, container: 1250 * mb, mapped: 1100 * mb, inContainer: 1100 * mb}, 500 * mb, "container"},
		"the reserve":              {use{goLimit: none, container: 1600 * mb, inContainer: 1000 * mb}, 501 * mb, "container"},
		"within the reserve":       {use{goLimit: none, container: 1600 * mb, inContainer: 1000 * mb}, 499 * mb, ""},
		"near GOMEMLIMIT":          {use{goLimit: 1600 * mb, container: none, mapped: 1400 * mb}, 200 * mb, "GOMEMLIMIT"},
		"garbage below GOMEMLIMIT": {use{goLimit: 1600 * mb, container: none, mapped: 1400 * mb, garbage: 700 * mb}, 200 * mb, ""},
		"garbage in a container":   {use{goLimit: none, container: 1600 * mb, inContainer: 1400 * mb, garbage: 700 * mb}, 200 * mb, "container"},
		"free spans":               {use{goLimit: none, container: 1600 * mb, inContainer: 1400 * mb, free: 700 * mb}, 200 * mb, ""},
		"beyond the limit":         {use{goLimit: 100 * mb, container: none, mapped: 200 * mb}, 0, "GOMEMLIMIT"},
	} {
		err := test.u.check(test.need)
		switch {
		case test.why == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.why != "" && (!errors.Is(err, ErrShort) || !strings.Contains(err.Error(), test.why)):
			t.Errorf("%s: %v, want one about %q", name, err, test.why)
		}
	}
}

// Check reads the limit that is in force.
func TestCheckReadsLimit(t *testing.T) {
	old := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(old)
	if err := Check(1 << 20); err != nil {
		t.Errorf("a megabyte without a limit: %v", err)
	}
	debug.SetMemoryLimit(256 << 20)
	if Check(1<<20) != nil || Check(250<<20) == nil {
		t.Errorf("below a limit of 256 MiB: 1 MiB %v, 250 MiB %v", Check(1<<20), Check(250<<20))
	}
}

func BenchmarkCheck(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = Check(64 << 20)
	}
}
