// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/binary"
	"math"
	"testing"
)

// Decoding returns the encoded values. Decoding malformed input ends within the column.
func FuzzColumn(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 63})
	f.Add([]byte{0, 0, 0xc0, 0x7f, 1, 2, 3, 4, 0, 0, 0xc0, 0xff})
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		values := make([]float32, len(data)/4)
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		column := appendColumn(nil, values)
		got := make([]float32, len(values)+1) // one more, which must remain unchanged
		readColumn(got, column)
		for i, v := range values {
			if wordOf(got[i]) != wordOf(v) {
				t.Fatalf("value %d is %v, want %v", i, got[i], v)
			}
		}
		if got[len(values)] != 0 {
			t.Error("decoding wrote beyond the encoded values")
		}
		readColumn(got, data)
		if again := appendColumn(nil, got); len(again) > 5*len(got)+10 {
			t.Errorf("%d bytes for %d values", len(again), len(got))
		}
	})
}
