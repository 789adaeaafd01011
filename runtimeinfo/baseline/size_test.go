// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"testing"
	"unsafe"
)

func TestSeriesSize(t *testing.T) {
	if n := unsafe.Sizeof(Series{}); n > 3<<10 {
		t.Errorf("a Series takes %d bytes", n)
	}
}

func TestTrackerSize(t *testing.T) {
	n := unsafe.Sizeof(tracker{})
	t.Logf("%d bytes", n)
	if n > 4<<10 {
		t.Errorf("a signal takes %d bytes, the budget is 4 KiB", n)
	}
}
