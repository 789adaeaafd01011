// SPDX-License-Identifier: Apache-2.0

package host

import "testing"

// Files that stay open are read without allocations. The list of threads and the look-up of
// control groups allocate.
func TestOwnSourcesDoNotAllocate(t *testing.T) {
	sources, release := ownSources("/")
	defer func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	}()
	s := NewSample()
	for i := range sources {
		src := &sources[i]
		run := func() {
			if err := src.run(t.Context(), s); err != nil && !absence(err) {
				t.Errorf("%s: %v", src.name, err)
			}
		}
		run()
		if src.name == "process.schedstat" || src.name == "cgroup.paths" {
			continue
		}
		if n := testing.AllocsPerRun(50, run); n != 0 {
			t.Errorf("%s allocates %v times", src.name, n)
		}
	}
}
