// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"testing"
	"unsafe"
)

func TestTrackerTakesAtMost4KiB(t *testing.T) {
	n := unsafe.Sizeof(tracker{})
	t.Logf("%d bytes", n)
	if n > 4<<10 {
		t.Errorf("a signal takes %d bytes, the budget is 4 KiB", n)
	}
}
