// SPDX-License-Identifier: Apache-2.0

package host

import "testing"

func TestContainerMemory(t *testing.T) {
	for tree, want := range map[string]struct {
		limit, used float64
		ok          bool
	}{
		"v1-docker":    {256 << 20, 140e6, true},
		"v1-unlimited": {},
		"nothing":      {},
	} {
		limit, used, ok := containerMemory("testdata/" + tree)
		if ok != want.ok || ok && (limit != want.limit || used != want.used) {
			t.Errorf("%s: %v, %v, %v, want %+v", tree, limit, used, ok, want)
		}
	}
}
