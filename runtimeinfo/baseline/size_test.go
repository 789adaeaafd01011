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
